"""Ended in any phase, a run leaves nothing behind, and says what it did not see."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import Runner, descendants, still_there
from tests.e2e.phases import baseline_begun, fault_is_in, fault_is_undone, node_started, run_has_ended, start_and_wait

pytestmark = pytest.mark.e2e


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


def test_once_all_was_run_a_signal_takes_nothing_from_the_report(runner: Runner) -> None:
    process, run_dir = start_and_wait(runner, run_has_ended)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 0, out + err
    assert "interrupted" not in err
    assert json.loads((run_dir / "result.json").read_text(encoding="utf-8"))["verdict"] == "PASS"
    assert (run_dir / "report.html").exists()


def test_a_killed_harness_takes_its_pods_and_its_load_with_it(runner: Runner) -> None:
    process, _ = start_and_wait(runner, fault_is_in)
    below = descendants(process)
    assert len(below) > 10
    process.kill()
    process.communicate()
    assert still_there(below) == []
    assert runner.left_outside() == []
