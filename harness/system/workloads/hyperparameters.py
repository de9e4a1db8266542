"""A training job's hyper-parameters, re-read from a small YAML file while it runs."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from pathlib import Path

import yaml

from harness.system.telemetry.logs import get_logger

# A file that grew beyond this is not one of ours, and would be read at every step.
_MAX_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """What may change while the job runs. ``learning_rate`` is the base that the job's schedule scales."""

    learning_rate: float = 1.0
    steps_per_second: float = 5.0


class HyperparameterError(Exception):
    """The file's text is not a set of hyper-parameters; the message names every mistake."""


def parse(text: str) -> Hyperparameters:
    """The hyper-parameters, those the text leaves out at their defaults. Raises HyperparameterError."""
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise HyperparameterError(f"not YAML: {error}") from error
    if document is None:
        return Hyperparameters()
    if not isinstance(document, dict):
        raise HyperparameterError(f"got {type(document).__name__}, need keys such as learning_rate: 1.0")
    known = [field.name for field in fields(Hyperparameters)]
    mistakes = [f"{key}: unknown, need one of {', '.join(known)}" for key in document if key not in known]
    rate, pace = document.get("learning_rate", 0.0), document.get("steps_per_second", 1.0)
    if not _is_number(rate) or rate < 0:
        mistakes.append(f"learning_rate: got {rate!r}, need a number of 0 or more")
    if not _is_number(pace) or not 0 < pace <= 1000:
        mistakes.append(f"steps_per_second: got {pace!r}, need a number above 0 and at most 1000")
    if mistakes:
        raise HyperparameterError("; ".join(mistakes))
    return replace(Hyperparameters(), **{key: float(value) for key, value in document.items()})


class HyperparameterFile:
    """The newest valid hyper-parameters of a file. A change is noticed by its content: mounts may keep old times."""

    def __init__(self, path: Path | None) -> None:
        """``path``: None for the defaults."""
        self._path = path
        self._seen: bytes | str | None = None
        self._current = Hyperparameters()
        self._log = get_logger(path=str(path))

    def current(self) -> Hyperparameters:
        """What the file says now; what it last said, with one error logged, while it is missing or invalid."""
        if self._path is None:
            return self._current
        seen: bytes | str
        try:
            with self._path.open("rb") as file:
                seen = file.read(_MAX_BYTES + 1)
        except OSError as error:
            seen = str(error)
        if seen == self._seen:
            return self._current
        self._seen = seen
        try:
            changed = _parse_read(seen)
        except HyperparameterError as error:
            self._log.error("hyper-parameters not usable, the old ones stay", error=str(error), **_shown(self._current))
            return self._current
        self._current = changed
        self._log.info("hyper-parameters read", **_shown(changed))
        return changed


def _parse_read(seen: bytes | str) -> Hyperparameters:
    if isinstance(seen, str):
        raise HyperparameterError(seen)
    if len(seen) > _MAX_BYTES:
        raise HyperparameterError(f"more than {_MAX_BYTES} bytes")
    try:
        return parse(seen.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise HyperparameterError(f"not UTF-8: {error}") from error


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _shown(parameters: Hyperparameters) -> dict[str, float]:
    return {field.name: getattr(parameters, field.name) for field in fields(Hyperparameters)}
