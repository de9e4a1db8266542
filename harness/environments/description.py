"""The file by which any process finds an environment that runs: ``environment.json`` in its run directory."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

STATE_FILE = "environment.json"


def write_description(run_dir: Path, state: DataclassInstance) -> None:
    """Writes what the environment says of itself, whole or not at all, for its owner's eyes only."""
    path = run_dir / STATE_FILE
    partial = path.with_suffix(".partial")
    partial.touch(mode=0o600)
    partial.write_text(json.dumps(asdict(state), indent=1), encoding="utf-8")
    partial.replace(path)


def read_description(run_dir: Path) -> dict[str, Any]:
    """What was written; the key ``environment`` says by which environment. Raises HarnessError when there is none."""
    path = run_dir / STATE_FILE
    try:
        raw: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        raw.setdefault("environment", "local")
    except (OSError, ValueError, AttributeError) as error:
        raise HarnessError(f"{path}: no environment is described here: {error}") from error
    return raw
