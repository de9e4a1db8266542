"""Chaos Toolkit in this process: pauses compressed, rollbacks always, failures told, signals kept, nothing printed."""

from __future__ import annotations

import copy
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from harness.run.chaos_toolkit import run_chaos_toolkit
from harness.run.interrupt import Interruption
from tests.run import activities


@pytest.fixture(autouse=True)
def _clean() -> None:
    activities.CALLS.clear()
    activities.HANDLERS.clear()


def activity(func: str, *, pauses: dict[str, Any] | None = None, **arguments: Any) -> dict[str, Any]:
    provider = {"type": "python", "module": activities.__name__, "func": func, "arguments": arguments}
    made = {"type": "action", "name": f"{func} {' '.join(map(str, arguments.values()))}".strip(), "provider": provider}
    return made if pauses is None else {**made, "pauses": pauses}


def document(*method: dict[str, Any], rollbacks: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    undo = [activity("note", text="undone")] if rollbacks is None else rollbacks
    return {"title": "t", "description": "d", "method": list(method), "rollbacks": undo}


class Ran:
    """What a run told."""

    def __init__(self, given: dict[str, Any], *, time_scale: float = 1.0) -> None:
        self.failed: list[tuple[str, str]] = []
        self.said: list[str] = []
        self.interruption = Interruption()
        began_s = time.monotonic()
        with self.interruption.handled():
            run_chaos_toolkit(
                given,
                time_scale=time_scale,
                interruption=self.interruption,
                failed=lambda name, error: self.failed.append((name, error)),
                say=self.said.append,
            )
            self.handlers_after = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        self.took_s = time.monotonic() - began_s


def test_activities_and_rollbacks_run_in_order_and_are_said() -> None:
    ran = Ran(document(activity("note", text="one"), activity("note", text="two")))
    assert activities.CALLS == ["one", "two", "undone"]
    assert ran.said == ["note one", "note two", "note undone"]
    assert ran.failed == []


def test_pauses_are_divided_by_the_time_scale() -> None:
    """An hour, before and after, of which a compressed run waits a few milliseconds."""
    given = document(
        activity("note", text="one", pauses={"before": 3600, "after": 3600.0}),
        rollbacks=[activity("note", text="undone", pauses={"before": 3600})],
    )
    assert Ran(given, time_scale=1e6).took_s < 60
    assert activities.CALLS == ["one", "undone"]


def test_pauses_are_kept_and_not_skipped() -> None:
    assert Ran(document(activity("note", text="one", pauses={"after": 100})), time_scale=1000).took_s >= 0.1


def test_the_document_given_is_left_as_it_was() -> None:
    given = document(activity("note", text="one", pauses={"after": 10}), activity("fail"))
    before = copy.deepcopy(given)
    Ran(given, time_scale=1e6)
    assert given == before


def test_an_activity_that_fails_is_told_with_its_error_and_undone() -> None:
    ran = Ran(document(activity("fail"), activity("note", text="next")))
    assert [name for name, _ in ran.failed] == ["fail"]
    assert "the pod is not there" in ran.failed[0][1]
    assert activities.CALLS[-1] == "undone"


def test_a_rollback_that_fails_is_told_and_does_not_keep_the_next_from_running() -> None:
    ran = Ran(document(activity("note", text="one"), rollbacks=[activity("fail"), activity("note", text="undone")]))
    assert [name for name, _ in ran.failed] == ["fail"]
    assert activities.CALLS == ["one", "fail", "undone"]


def test_an_interruption_in_an_activity_skips_to_the_rollbacks() -> None:
    Ran(document(activity("interrupt"), activity("note", text="next")))
    assert activities.CALLS == ["interrupt", "undone"]


def test_signals_come_to_the_interruption_while_it_runs_and_afterwards_go_where_they_went() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    ran = Ran(document(activity("look_at_signals")))
    assert [handler.__self__ for handler in activities.HANDLERS] == [ran.interruption] * 3
    assert [handler.__self__ for handler in ran.handlers_after] == [ran.interruption] * 2
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before


def test_a_sigterm_is_remembered_and_undone() -> None:
    ran = Ran(document(activity("terminate")))
    assert ran.interruption.signal_name == "SIGTERM"
    assert activities.CALLS == ["terminated", "undone"]
    with pytest.raises(KeyboardInterrupt, match="SIGTERM"):
        ran.interruption.check()


def test_without_a_signal_nothing_is_remembered() -> None:
    ran = Ran(document(activity("note", text="one")))
    ran.interruption.check()
    assert ran.interruption.signal_name is None


def test_nothing_is_printed() -> None:
    """In a process of its own, where no test framework takes the log messages away."""
    program = (
        "from tests.run.test_chaos_toolkit import Ran, activity, document\n"
        "Ran(document(activity('fail'), activity('interrupt'), rollbacks=[activity('fail')]))\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
