"""Ended in any phase, a run leaves nothing behind, and says what it did not see."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import CHECKOUT, Runner, descendants, still_there

pytestmark = pytest.mark.e2e

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


def start_and_wait(runner: Runner, reached: Callable[[Path], bool]) -> tuple[subprocess.Popen[str], Path]:
    run_dir = runner.root / "run"
    process = runner.start("certify", "--experiments", str(EXPERIMENT), "--report", str(run_dir))
    deadline = time.monotonic() + 60
    while not reached(run_dir):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "the phase was not reached"
        time.sleep(0.02)
    return process, run_dir


@pytest.mark.parametrize(
    ("reached", "number"),
    [
        (node_started, signal.SIGINT),
        (baseline_begun, signal.SIGINT),
        (fault_is_in, signal.SIGINT),
        (fault_is_in, signal.SIGTERM),
        (fault_is_in, signal.SIGHUP),
        (fault_is_undone, signal.SIGINT),
    ],
)
def test_a_signal_in_any_phase_leaves_nothing_and_is_no_pass(
    runner: Runner, reached: Callable[[Path], bool], number: signal.Signals
) -> None:
    process, run_dir = start_and_wait(runner, reached)
    below = descendants(process)
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert still_there(below) == []
    assert runner.left_outside() == []
    assert process.returncode == 2, out + err
    result = json.loads((run_dir / "result.json").read_text(encoding="utf-8"))
    assert (result["verdict"], result["interrupted"]) == ("UNKNOWN", number.name)
    ledger = run_dir / "ledger.jsonl"
    entries = [json.loads(line) for line in ledger.read_text(encoding="utf-8").splitlines()] if ledger.exists() else []
    assert {entry["open"] for entry in entries if "open" in entry} == {
        entry["close"] for entry in entries if "close" in entry
    }


def test_a_killed_harness_takes_its_pods_and_its_load_with_it(runner: Runner) -> None:
    process, _ = start_and_wait(runner, fault_is_in)
    below = descendants(process)
    assert len(below) > 10
    process.kill()
    process.communicate()
    assert still_there(below) == []
    assert runner.left_outside() == []
