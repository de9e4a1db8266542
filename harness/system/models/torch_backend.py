"""The model on torch, on CUDA when there is a device."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from harness.system.models import StepResult
from harness.system.models.shape import CONTEXT, HIDDEN_SCALE, SHAPES
from harness.system.models.text import UNKNOWN
from harness.system.models.weights import Weights, check, write_weights

Tokens = NDArray[np.int64]


class TorchModel:
    """See LanguageModel."""

    def __init__(self, weights: Weights, *, steps: int) -> None:
        self.steps = steps
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.restore(weights)

    @property
    def parameters_bytes(self) -> int:
        return sum(int(layer.nbytes) for layer in self._weights.values())

    def step(self, inputs: Tokens, targets: Tokens, learning_rate: float) -> StepResult:
        wanted = torch.tensor(targets, device=self._device)
        logits = self._logits(torch.tensor(inputs, device=self._device))
        loss = torch.nn.functional.cross_entropy(logits, wanted)
        accuracy = (logits.argmax(dim=1) == wanted).float().mean()
        gradients = torch.autograd.grad(loss, list(self._weights.values()))
        with torch.no_grad():
            for layer, gradient in zip(self._weights.values(), gradients, strict=True):
                layer.sub_(gradient, alpha=learning_rate)
        self.steps += 1
        return StepResult(loss.item(), accuracy.item())

    def next_token(self, context: Sequence[int]) -> int:
        padded = [UNKNOWN] * CONTEXT + list(context)
        with torch.no_grad():
            return int(self._logits(torch.tensor([padded[-CONTEXT:]], device=self._device)).argmax())

    def weights(self) -> Weights:
        return {name: layer.detach().cpu().numpy().copy() for name, layer in self._weights.items()}

    def restore(self, weights: Weights) -> None:
        check(weights, source="weights to restore")
        self._weights: dict[str, Any] = {
            name: torch.tensor(weights[name], device=self._device, requires_grad=True) for name in SHAPES
        }

    def save(self, path: Path) -> None:
        write_weights(path, self.weights(), steps=self.steps)

    def _logits(self, inputs: Any) -> Any:
        weights = self._weights
        embedded = weights["embedding"][inputs].flatten(1)
        hidden = torch.tanh(embedded @ weights["hidden_weights"] + weights["hidden_bias"])
        return hidden @ (HIDDEN_SCALE * weights["output_weights"]) + weights["output_bias"]
