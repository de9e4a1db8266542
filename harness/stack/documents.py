"""Files of a directory → the Kubernetes objects they hold, lists unpacked, with every unreadable file
named.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import InputError, Mistake
from harness.stack.places import Place
from harness.strict_yaml import Loaded, load_json, load_yaml

_SUFFIXES = frozenset({".yaml", ".yml", ".json"})
_NOT_MANIFESTS = frozenset({"kustomization.yaml", "kustomization.yml", "Chart.yaml", "values.yaml"})
# Aliases let a small file stand for a huge tree; a real manifest stays far below both limits.
_MAX_DEPTH = 80
_MAX_VALUES = 300_000


@dataclass(frozen=True, slots=True)
class Document:
    """One object as a file states it; keys whose value is null are gone, as the API server treats them."""

    place: Place
    value: Mapping[str, Any]


def read_documents(root: Path, mistakes: list[Mistake]) -> tuple[list[Document], str]:
    """Every object below ``root`` in the order of the files' paths, and the SHA-256 over these files.

    Hidden files and directories, kustomizations and charts' values are passed over. Mistakes are appended.
    Raises InputError when there is no directory or no manifest in it.
    """
    paths = _manifest_paths(root)
    documents: list[Document] = []
    digest = hashlib.sha256()
    for path in paths:
        if path.exists() and not path.is_file():
            mistakes.append(Mistake(path, "", "is no regular file"))
            continue
        try:
            content = path.read_bytes()
        except OSError as error:
            mistakes.append(Mistake(path, "", f"cannot be read: {error.strerror}"))
            continue
        digest.update(f"{path.relative_to(root).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
        documents += _documents_of(path, content, mistakes)
    if not documents and not mistakes:
        raise InputError([Mistake(root, "", "its files hold no Kubernetes objects")])
    return documents, digest.hexdigest()


def parse_yaml(text: str, place: Place, mistakes: list[Mistake]) -> Any:
    """The single YAML document in a text embedded in a manifest; None when it is empty or wrong."""
    values = _values(load_yaml(text), place, mistakes)
    if len(values) > 1:
        mistakes.append(place.mistake("holds several YAML documents, need one"))
    return _without_nulls(values[0], place, mistakes) if values else None


def _manifest_paths(root: Path) -> list[Path]:
    if not root.exists():
        raise InputError([Mistake(root, "", "there is no such directory; need a directory of manifests")])
    if not root.is_dir():
        raise InputError([Mistake(root, "", "is a file; need a directory of manifests")])
    try:
        paths = sorted(_walk(root))
    except OSError as error:
        raise InputError([Mistake(root, "", f"cannot be listed: {error.strerror}")]) from error
    if not paths:
        raise InputError([Mistake(root, "", "holds no *.yaml, *.yml or *.json file")])
    return paths


def _walk(root: Path) -> Iterator[Path]:
    for directory, names, files in os.walk(root, onerror=_raise):
        names[:] = sorted(name for name in names if not name.startswith("."))
        for name in files:
            path = Path(directory) / name
            if not name.startswith(".") and path.suffix in _SUFFIXES and name not in _NOT_MANIFESTS:
                yield path


def _raise(error: OSError) -> None:
    raise error


def _documents_of(path: Path, content: bytes, mistakes: list[Mistake]) -> list[Document]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        mistakes.append(Mistake(path, "", f"is not UTF-8 text (byte {error.start}); need YAML or JSON"))
        return []
    if "\0" in text:
        mistakes.append(Mistake(path, "", "is a binary file; need YAML or JSON"))
        return []
    place = Place(path)
    values = _values(load_json(text) if path.suffix == ".json" else load_yaml(text), place, mistakes)
    filled = [(number, value) for number, value in enumerate(values, start=1) if value is not None]
    found: list[Document] = []
    for number, value in filled:
        here = Place(path, number if len(filled) > 1 else None)
        before = len(mistakes)
        clean = _without_nulls(value, here, mistakes)
        if len(mistakes) == before:
            found += _objects_of(clean, here, mistakes)
    return found


def _values(loaded: Loaded, place: Place, mistakes: list[Mistake]) -> list[Any]:
    mistakes += [place.mistake(problem) for problem in loaded.problems]
    return loaded.values


def _objects_of(value: Any, place: Place, mistakes: list[Mistake]) -> list[Document]:
    if not isinstance(value, dict):
        mistakes.append(place.mistake(f"got {describe(value)}, need a Kubernetes object"))
        return []
    kind = value.get("kind")
    if isinstance(kind, str) and kind.endswith("List") and isinstance(value.get("items", []), list):
        items = enumerate(value.get("items", []))
        return [found for index, item in items for found in _objects_of(item, place.at("items", index), mistakes)]
    return [Document(place, value)]


def _without_nulls(value: Any, place: Place, mistakes: list[Mistake]) -> Any:
    budget = [_MAX_VALUES]
    try:
        return _clean(value, budget, 0)
    except ValueError as error:
        mistakes.append(place.mistake(str(error)))
        return None


def _clean(value: Any, budget: list[int], depth: int) -> Any:
    budget[0] -= 1
    if budget[0] < 0:
        raise ValueError("stands for more values than a manifest can hold: its aliases multiply")
    if depth > _MAX_DEPTH:
        raise ValueError("is nested too deeply, or refers to itself")
    if isinstance(value, dict):
        return {_key(key): _clean(item, budget, depth + 1) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_clean(item, budget, depth + 1) for item in value]
    if isinstance(value, bytes | set):
        raise ValueError(f"holds {describe(value)}, which no Kubernetes object has")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"holds the number {value}, which no Kubernetes object has")
    return value


def _key(key: object) -> str:
    if isinstance(key, bool):
        return "true" if key else "false"
    if isinstance(key, str | int | float):
        return str(key)
    raise ValueError(f"holds {describe(key)} as a key, need a string")


def describe(value: object) -> str:
    """A value as a mistake shows it: short, with its kind."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple | set):
        return "a list"
    text = json.dumps(value) if isinstance(value, str | bool | int | float) else repr(value)
    return text if len(text) <= 60 else text[:57] + "…"
