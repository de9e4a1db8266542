"""The recorder: rounds go on, a defect is carried to whoever waits, and catching up means a whole new round."""

from __future__ import annotations

import threading

import pytest

from harness.clock import RunClock
from harness.errors import HarnessError
from harness.evidence.recorder import Recorder

DEADLINE_S = 10.0


class Gate:
    """A collector that waits in each poll until it is let on, and tells when it is in one."""

    def __init__(self) -> None:
        self.polls = 0
        self.inside = threading.Semaphore(0)
        self.go = threading.Semaphore(0)

    def poll(self) -> None:
        self.polls += 1
        self.inside.release()
        assert self.go.acquire(timeout=DEADLINE_S)


class Failing:
    def poll(self) -> None:
        raise KeyError("a defect")


class Counting:
    def __init__(self) -> None:
        self.polls = 0

    def poll(self) -> None:
        self.polls += 1


def test_catching_up_waits_for_a_round_that_began_after_the_call() -> None:
    gate = Gate()
    recorder = Recorder([gate], clock=RunClock.start(), period_s=0.0)
    recorder.start()
    assert gate.inside.acquire(timeout=DEADLINE_S)
    caught_up = threading.Event()
    waiting = threading.Thread(target=lambda: (recorder.catch_up(timeout_s=DEADLINE_S), caught_up.set()))
    waiting.start()
    while not recorder._round._waiters:  # type: ignore[attr-defined]  # it asks before the first round ends
        assert waiting.is_alive()
    gate.go.release()
    assert gate.inside.acquire(timeout=DEADLINE_S)
    assert not caught_up.is_set(), "the round under way may have read before the call"
    gate.go.release()
    waiting.join(timeout=DEADLINE_S)
    assert caught_up.is_set()
    assert gate.polls >= 2
    recorder._stop.set()
    gate.go.release()
    recorder.stop()


def test_a_failing_collector_is_told_to_whoever_waits() -> None:
    later = Counting()
    recorder = Recorder([Failing(), later], clock=RunClock.start(), period_s=0.0)
    recorder.start()
    for wait in (lambda: recorder.catch_up(timeout_s=DEADLINE_S), recorder.check, recorder.stop):
        with pytest.raises(HarnessError, match="a defect") as raised:
            wait()
        assert isinstance(raised.value.__cause__, KeyError)
    assert later.polls == 0


def test_a_round_that_takes_too_long_is_told() -> None:
    gate = Gate()
    recorder = Recorder([gate], clock=RunClock.start(), period_s=0.0)
    recorder.start()
    with pytest.raises(HarnessError, match=r"more than 0\.05 s"):
        recorder.catch_up(timeout_s=0.05)
    recorder._stop.set()
    gate.go.release()
    recorder.stop()


def test_after_stopping_nothing_is_polled_any_more() -> None:
    counting = Counting()
    recorder = Recorder([counting], clock=RunClock.start(), period_s=0.0)
    recorder.start()
    recorder.catch_up(timeout_s=DEADLINE_S)
    recorder.stop()
    polls = counting.polls
    recorder.stop()
    recorder.check()
    assert polls == counting.polls > 0


def test_every_collector_is_polled_in_each_round() -> None:
    counters = [Counting(), Counting()]
    recorder = Recorder(counters, clock=RunClock.start(), period_s=60.0)
    recorder.start()
    while recorder._completed_s is None:
        assert recorder._thread.is_alive()
    recorder.stop()
    assert [each.polls for each in counters] == [1, 1]
