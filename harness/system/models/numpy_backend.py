"""The model on NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.system.models import StepResult
from harness.system.models.shape import CONTEXT, EMBEDDING, HIDDEN_SCALE, SHAPES
from harness.system.models.text import UNKNOWN
from harness.system.models.weights import Weights, check, write_weights

Array = NDArray[np.float32]
Tokens = NDArray[np.int64]


class NumpyModel:
    """See LanguageModel. Numbers that grew out of all bounds stay infinite or NaN, and warn nobody but the loss."""

    def __init__(self, weights: Weights, *, steps: int) -> None:
        self.steps = steps
        self.restore(weights)

    @property
    def parameters_bytes(self) -> int:
        return sum(layer.nbytes for layer in self._weights.values())

    def step(self, inputs: Tokens, targets: Tokens, learning_rate: float) -> StepResult:
        with np.errstate(all="ignore"):
            embedded, hidden, logits = self._forward(inputs)
            accuracy = float((logits.argmax(axis=1) == targets).mean())
            loss, error = _cross_entropy(logits, targets)
            gradients = self._gradients(inputs, embedded, hidden, error)
            for name, gradient in gradients.items():
                self._weights[name] -= np.float32(learning_rate) * gradient
        self.steps += 1
        return StepResult(loss, accuracy)

    def next_token(self, context: Sequence[int]) -> int:
        padded = [UNKNOWN] * CONTEXT + list(context)
        return int(self._forward(np.array([padded[-CONTEXT:]]))[2].argmax())

    def weights(self) -> Weights:
        return {name: layer.copy() for name, layer in self._weights.items()}

    def restore(self, weights: Weights) -> None:
        check(weights, source="weights to restore")
        self._weights = {name: weights[name].copy() for name in SHAPES}

    def save(self, path: Path) -> None:
        write_weights(path, self._weights, steps=self.steps)

    def _forward(self, inputs: Tokens) -> tuple[Array, Array, Array]:
        weights = self._weights
        embedded = weights["embedding"][inputs].reshape(len(inputs), -1)
        hidden = np.tanh(embedded @ weights["hidden_weights"] + weights["hidden_bias"])
        logits = hidden @ (np.float32(HIDDEN_SCALE) * weights["output_weights"]) + weights["output_bias"]
        return embedded, hidden, logits

    def _gradients(self, inputs: Tokens, embedded: Array, hidden: Array, error: Array) -> Weights:
        """The loss's derivatives by the weights; ``error`` is that by the logits."""
        weights, scale = self._weights, np.float32(HIDDEN_SCALE)
        before = (error @ (scale * weights["output_weights"]).T) * (1 - hidden * hidden)
        by_input = (before @ weights["hidden_weights"].T).reshape(-1, EMBEDDING)
        # Rows of one token are summed as a run of the sorted rows: many times faster than np.add.at.
        order = np.argsort(inputs, axis=None, kind="stable")
        tokens, starts = np.unique(inputs.ravel()[order], return_index=True)
        embedding = np.zeros_like(weights["embedding"])
        embedding[tokens] = np.add.reduceat(by_input[order], starts, axis=0)
        return {
            "embedding": embedding,
            "hidden_weights": embedded.T @ before,
            "hidden_bias": before.sum(axis=0),
            "output_weights": scale * (hidden.T @ error),
            "output_bias": error.sum(axis=0),
        }


def _cross_entropy(logits: Array, targets: Tokens) -> tuple[float, Array]:
    """The mean loss and its derivative by the logits, which are overwritten."""
    rows = np.arange(len(targets))
    logits -= logits.max(axis=1, keepdims=True)
    chosen = logits[rows, targets]
    np.exp(logits, out=logits)
    sums = logits.sum(axis=1, keepdims=True)
    loss = float(np.mean(np.log(sums[:, 0]) - chosen))
    logits /= sums * np.float32(len(targets))
    logits[rows, targets] -= np.float32(1 / len(targets))
    return loss, logits
