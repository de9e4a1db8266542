"""The model on NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.system.models import StepResult
from harness.system.models.shape import BETA_1, BETA_2, CONTEXT, EMBEDDING, EPSILON, SHAPES
from harness.system.models.text import UNKNOWN
from harness.system.models.weights import Weights, check, write_weights

Array = NDArray[np.float32]


class NumpyModel:
    """See LanguageModel. All weights lie in one vector, of which the layers are views: Adam is a few lines then."""

    def __init__(self, weights: Weights, *, steps: int) -> None:
        self.steps = steps
        size = sum(int(np.prod(shape)) for shape in SHAPES.values())
        self._values, self._gradient, self._first, self._second = np.zeros((4, size), np.float32)
        self._layers, self._gradients = _views(self._values), _views(self._gradient)
        self.restore(weights)

    @property
    def parameters_bytes(self) -> int:
        return int(self._values.nbytes)

    def step(self, inputs: NDArray[np.int64], targets: NDArray[np.int64], learning_rate: float) -> StepResult:
        rows = np.arange(len(targets))
        embedded, hidden, logits = self._forward(inputs)
        accuracy = float((logits.argmax(axis=1) == targets).mean())
        logits -= logits.max(axis=1, keepdims=True)
        chosen = logits[rows, targets]
        np.exp(logits, out=logits)
        sums = logits.sum(axis=1, keepdims=True)
        loss = float(np.mean(np.log(sums[:, 0]) - chosen))
        logits /= sums * np.float32(len(targets))
        logits[rows, targets] -= np.float32(1 / len(targets))
        self._backward(inputs, embedded, hidden, logits)
        self._adam(learning_rate)
        return StepResult(loss, accuracy)

    def next_token(self, context: Sequence[int]) -> int:
        padded = [UNKNOWN] * CONTEXT + list(context)
        return int(self._forward(np.array([padded[-CONTEXT:]]))[2].argmax())

    def weights(self) -> Weights:
        return {name: layer.copy() for name, layer in self._layers.items()}

    def restore(self, weights: Weights) -> None:
        check(weights, source="weights to restore")
        for name, layer in self._layers.items():
            layer[...] = weights[name]
        self._first.fill(0)
        self._second.fill(0)
        self._updates = 0

    def save(self, path: Path) -> None:
        write_weights(path, self._layers, steps=self.steps)

    def _forward(self, inputs: NDArray[np.int64]) -> tuple[Array, Array, Array]:
        layers = self._layers
        embedded = layers["embedding"][inputs].reshape(len(inputs), -1)
        hidden = np.tanh(embedded @ layers["hidden_weights"] + layers["hidden_bias"])
        return embedded, hidden, hidden @ layers["output_weights"] + layers["output_bias"]

    def _backward(self, inputs: NDArray[np.int64], embedded: Array, hidden: Array, error: Array) -> None:
        """Fill the gradients; ``error`` is the loss's derivative by the logits."""
        layers, gradients = self._layers, self._gradients
        np.matmul(hidden.T, error, out=gradients["output_weights"])
        error.sum(axis=0, out=gradients["output_bias"])
        before = (error @ layers["output_weights"].T) * (1 - hidden * hidden)
        np.matmul(embedded.T, before, out=gradients["hidden_weights"])
        before.sum(axis=0, out=gradients["hidden_bias"])
        by_input = (before @ layers["hidden_weights"].T).reshape(-1, EMBEDDING)
        # Rows of one token are summed as a run of the sorted rows: many times faster than np.add.at.
        order = np.argsort(inputs, axis=None, kind="stable")
        tokens, starts = np.unique(inputs.ravel()[order], return_index=True)
        gradients["embedding"].fill(0)
        gradients["embedding"][tokens] = np.add.reduceat(by_input[order], starts, axis=0)

    def _adam(self, learning_rate: float) -> None:
        self.steps += 1
        self._updates += 1
        self._first += np.float32(1 - BETA_1) * (self._gradient - self._first)
        self._second += np.float32(1 - BETA_2) * (self._gradient**2 - self._second)
        rate = learning_rate / (1 - BETA_1**self._updates)
        spread = np.sqrt(self._second / np.float32(1 - BETA_2**self._updates)) + np.float32(EPSILON)
        self._values -= np.float32(rate) * self._first / spread


def _views(vector: Array) -> dict[str, Array]:
    views, start = {}, 0
    for name, shape in SHAPES.items():
        size = int(np.prod(shape))
        views[name] = vector[start : start + size].reshape(shape)
        start += size
    return views
