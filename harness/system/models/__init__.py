"""A small language model that really learns and really answers: torch where it is installed, NumPy otherwise.

The model sees the last CONTEXT tokens and names the next one: embeddings, one hidden layer, softmax. Both backends
read and write the same weights.

>>> model = load(SHIPPED_WEIGHTS)
>>> context, following = probe_set()[0]
>>> model.next_token(context) == following
True
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

# A matrix this small gains nothing from a thread per core, and the threads would take the cores from the others.
# It counts only where numpy is not imported yet, which is why no module imports numpy before this line has run.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

from harness.system.models.errors import WeightsError
from harness.system.models.shape import CONTEXT
from harness.system.models.text import TEXT, VOCABULARY_SIZE, decode, encode

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Tokens = NDArray[np.int64]
    Weights = dict[str, NDArray[np.float32]]

BACKENDS = ("torch", "numpy")
BACKEND_VARIABLE = "MODEL_BACKEND"
SHIPPED_WEIGHTS = Path(__file__).parent / "weights.npz"
_PROBES = 200


@dataclass(frozen=True, slots=True)
class StepResult:
    """What the batch was like before the step changed the weights. ``loss``: mean cross-entropy in nats."""

    loss: float
    accuracy: float


class LanguageModel(Protocol):
    """Names the next token; learns by gradient descent."""

    steps: int

    @property
    def parameters_bytes(self) -> int:
        """Size of the weights, which are 32-bit floats."""

    def step(self, inputs: Tokens, targets: Tokens, learning_rate: float) -> StepResult:
        """Learn from one batch: inputs [batch, CONTEXT], targets [batch]."""

    def next_token(self, context: Sequence[int]) -> int:
        """The likeliest token after this context, of which the last CONTEXT tokens count."""

    def weights(self) -> Weights:
        """A copy of the weights."""

    def restore(self, weights: Weights) -> None:
        """Go on from a copy of these weights. Raises WeightsError for other shapes."""

    def save(self, path: Path) -> None:
        """Write weights and ``steps``, atomically: the file is the old or the new one. Raises OSError."""


def backend() -> str:
    """The backend in use: what MODEL_BACKEND says, else torch where it is installed, else numpy.

    Raises ValueError for a backend there is none of.
    """
    wanted = os.environ.get(BACKEND_VARIABLE)
    if not wanted:
        return "torch" if importlib.util.find_spec("torch") else "numpy"
    if wanted not in BACKENDS:
        raise ValueError(f"{BACKEND_VARIABLE}={wanted}: need one of {', '.join(BACKENDS)}")
    return wanted


def fresh(seed: int) -> LanguageModel:
    """An untrained model; the same one for the same seed, on either backend."""
    from harness.system.models.weights import fresh_weights

    return _model(fresh_weights(seed), steps=0)


def load(path: Path) -> LanguageModel:
    """The model a file holds. Raises WeightsError when it is missing, damaged or not of this shape."""
    from harness.system.models.weights import read_weights

    weights, steps = read_weights(path)
    return _model(weights, steps=steps)


def probe_set() -> tuple[tuple[tuple[int, ...], int], ...]:
    """Pairs of a context and the token that follows it in TEXT, spread evenly over it; always the same."""
    tokens = encode(TEXT)
    last = len(tokens) - CONTEXT
    starts = [number * last // _PROBES for number in range(_PROBES)]
    return tuple((tuple(tokens[start : start + CONTEXT]), tokens[start + CONTEXT]) for start in starts)


def _model(weights: Weights, *, steps: int) -> LanguageModel:
    # Only the backend in use is imported: torch alone takes longer to import than a pod has to become ready.
    if backend() == "torch":
        from harness.system.models.torch_backend import TorchModel

        return TorchModel(weights, steps=steps)
    from harness.system.models.numpy_backend import NumpyModel

    return NumpyModel(weights, steps=steps)


__all__ = [
    "BACKENDS",
    "BACKEND_VARIABLE",
    "CONTEXT",
    "SHIPPED_WEIGHTS",
    "TEXT",
    "VOCABULARY_SIZE",
    "LanguageModel",
    "StepResult",
    "WeightsError",
    "backend",
    "decode",
    "encode",
    "fresh",
    "load",
    "probe_set",
]
