"""Experiment files as documents: found, parsed, and small enough to be worked with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from harness.defaults import EXPERIMENT_SUFFIXES
from harness.errors import Mistake
from harness.expectations import type_name
from harness.strict_yaml import load_json, load_yaml

# Far beyond any experiment that somebody wrote, and small enough to be copied without harm.
_MAX_DEPTH = 50
_MAX_VALUES = 100_000


def experiment_files(paths: Sequence[Path], mistakes: list[Mistake]) -> Iterable[Path]:
    """The files given and those in directories given; adds a mistake for what holds none or is not there."""
    for path in paths:
        if path.is_dir():
            found = sorted(each for each in path.iterdir() if each.suffix in EXPERIMENT_SUFFIXES)
            if not found:
                mistakes.append(Mistake(path, "", "holds no experiment (*.yaml, *.yml or *.json)"))
            yield from found
        elif path.is_file():
            yield path
        elif path.exists():
            mistakes.append(Mistake(path, "", "is no regular file"))
        else:
            mistakes.append(Mistake(path, "", "does not exist"))


def parse_file(path: Path, mistakes: list[Mistake]) -> dict[str, Any] | None:
    """The file's document; None after adding the mistake that keeps it from being one."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        mistakes.append(Mistake(path, "", f"cannot be read: {error}"))
        return None
    loaded = load_json(text) if path.suffix == ".json" else load_yaml(text)
    if loaded.problems:
        mistakes += [Mistake(path, "", problem) for problem in loaded.problems]
        return None
    if len(loaded.values) > 1:
        mistakes.append(Mistake(path, "", f"holds {len(loaded.values)} documents, need one experiment a file"))
        return None
    document = loaded.values[0] if loaded.values else None
    if not isinstance(document, dict):
        mistakes.append(Mistake(path, "", f"got {type_name(document)}, need a mapping: an experiment of Chaos Toolkit"))
        return None
    problem = _unwieldy(document)
    if problem:
        mistakes.append(Mistake(path, "", problem))
        return None
    return document


def _unwieldy(document: Any) -> str:
    """Why a parsed file cannot be worked with; empty when it can. A few aliases can stand for billions of values."""
    sizes: dict[int, int] = {}

    def size(value: Any, depth: int) -> int:
        if not isinstance(value, (dict, list)):
            return 1
        if depth > _MAX_DEPTH:
            raise RecursionError
        if id(value) not in sizes:
            inside = value.values() if isinstance(value, dict) else value
            sizes[id(value)] = 1 + sum(size(each, depth + 1) for each in inside)
        return sizes[id(value)]

    try:
        values = size(document, 0)
    except RecursionError:
        return f"is nested more than {_MAX_DEPTH} levels deep, or in itself"
    return f"stands for {values} values, more than {_MAX_VALUES}" if values > _MAX_VALUES else ""
