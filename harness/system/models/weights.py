"""Weights as arrays: fresh ones, and files of them, which both backends share."""

from __future__ import annotations

import os
import tempfile
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.system.models.errors import WeightsError
from harness.system.models.shape import CONTEXT, EMBEDDING, HIDDEN, SHAPES

Weights = dict[str, NDArray[np.float32]]
_STEPS = "steps"
# What NumPy and zipfile raise for a damaged archive depends on where the damage is.
_DAMAGE = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    TypeError,
    AttributeError,
    NotImplementedError,
    RuntimeError,
    SyntaxError,
    zipfile.BadZipFile,
    zlib.error,
)


def fresh_weights(seed: int) -> Weights:
    """Random weights scaled by each layer's inputs, so that the first loss is close to the vocabulary's logarithm."""
    random = np.random.default_rng(seed)
    scales = {"embedding": 1.0, "hidden_weights": (CONTEXT * EMBEDDING) ** -0.5, "output_weights": 0.1 * HIDDEN**-0.5}
    weights: Weights = {}
    for name, shape in SHAPES.items():
        scale = scales.get(name, 0.0)
        weights[name] = (random.standard_normal(shape) * scale).astype(np.float32)
    return weights


def check(weights: Weights, *, source: str) -> None:
    """Raises WeightsError, naming everything that is missing, of another shape or not finite."""
    wrong = []
    for name, shape in SHAPES.items():
        array = weights.get(name)
        if array is None:
            wrong.append(f"{name} is missing")
        elif array.shape != shape or array.dtype != np.float32:
            wrong.append(f"{name} is {array.dtype} {array.shape}, need float32 {shape}")
        elif not np.isfinite(array).all():
            wrong.append(f"{name} has values that are not finite")
    if wrong:
        raise WeightsError(f"{source}: {'; '.join(wrong)}")


def read_weights(path: Path) -> tuple[Weights, int]:
    """The weights and the steps they took. Raises WeightsError."""
    try:
        with np.load(path, allow_pickle=False) as file:
            weights = {name: file[name] for name in SHAPES if name in file.files}
            steps = int(file[_STEPS]) if _STEPS in file.files else 0
    except _DAMAGE as error:
        raise WeightsError(f"{path}: cannot be read as weights: {error}") from error
    check(weights, source=str(path))
    return weights, steps


def write_weights(path: Path, weights: Weights, *, steps: int) -> None:
    """The file is complete and on disk, or as it was before. Raises OSError."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".partial")
    try:
        with os.fdopen(handle, "wb") as file:
            arrays: dict[str, Any] = {_STEPS: np.int64(steps), **weights}
            np.savez(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)  # mkstemp's file is its owner's alone; others serve what was trained
        os.replace(name, path)
    except BaseException:  # an interrupt, too, must not leave the partial file on a full volume
        with suppress(OSError):
            os.unlink(name)
        raise
