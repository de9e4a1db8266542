"""How far a run of one experiment has come, told by its record."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.e2e.conftest import CHECKOUT, HARNESS, Runner

EXPERIMENT = CHECKOUT / "experiments" / "model-volume-full.yaml"


def timeline(run_dir: Path) -> list[dict[str, object]]:
    path = run_dir / "timeline.jsonl"
    if not path.exists():
        return []
    # What follows the last line end is being written at this moment.
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]


def node_started(run_dir: Path) -> bool:
    return (run_dir / "environment.json").exists()


def baseline_begun(run_dir: Path) -> bool:
    return any(event["kind"] == "phase" for event in timeline(run_dir))


def fault_is_in(run_dir: Path) -> bool:
    return any(event["kind"] == "fault" and event["data"]["status"] == "effect" for event in timeline(run_dir))


def fault_is_undone(run_dir: Path) -> bool:
    return any(event["kind"] == "fault" and event["data"]["status"] == "undone" for event in timeline(run_dir))


def run_has_ended(run_dir: Path) -> bool:
    return any(event["kind"] == "run" and event["name"] == "ended" for event in timeline(run_dir))


def start_and_wait(
    runner: Runner, reached: Callable[[Path], bool], *, below: tuple[str, ...] = ()
) -> tuple[subprocess.Popen[str], Path]:
    """A certification that has come so far, and its run's directory. ``below``: a program that starts it."""
    run_dir = runner.root / "run"
    command = [*below, str(HARNESS), "certify", "--experiments", str(EXPERIMENT), "--report", str(run_dir)]
    process = runner.start_program(Path(command[0]), *command[1:])
    deadline = time.monotonic() + 60
    while not reached(run_dir):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "the phase was not reached"
        time.sleep(0.02)
    return process, run_dir
