"""How long the shipped stack takes until every pod is ready."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from statistics import median

from benchmarks.command import HARNESS
from benchmarks.figure import Figure

READY_S = 3.0
REPETITIONS = 5


def measure(directory: Path, *, repetitions: int = REPETITIONS) -> list[Figure]:
    """The slowest of several starts by ``harness up``, as the environment itself records it."""
    ready_s = [_start(directory) for _ in range(repetitions)]
    how = f"slowest of {repetitions} × `harness up`, median {median(ready_s):.2f} s"
    return [Figure("stack ready", max(ready_s), READY_S, "s", how)]


def _start(directory: Path) -> float:
    """One start, in a directory of its own, whose environment is taken down again."""
    with tempfile.TemporaryDirectory(dir=directory) as cwd:
        try:
            _harness("up", cwd=cwd)
            (state,) = Path(cwd).glob("reports/*/environment.json")
            return float(json.loads(state.read_text(encoding="utf-8"))["ready_s"])
        finally:
            _harness("down", cwd=cwd)


def _harness(command: str, *, cwd: str) -> None:
    subprocess.run([HARNESS, command], cwd=cwd, check=True, capture_output=True, timeout=120)
