"""The recorder: nobody waits for another, a defect is carried to whoever waits, catching up means a whole new poll."""

from __future__ import annotations

import threading

import pytest

from harness.clock import RunClock, wait_until
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


def test_catching_up_waits_for_a_poll_that_began_after_the_call() -> None:
    gate = Gate()
    recorder = Recorder([(gate, 0.0)], clock=RunClock.start())
    recorder.start()
    assert gate.inside.acquire(timeout=DEADLINE_S)
    caught_up = threading.Event()
    waiting = threading.Thread(target=lambda: (recorder.catch_up(timeout_s=DEADLINE_S), caught_up.set()))
    waiting.start()
    while not recorder._polled._waiters:  # type: ignore[attr-defined]  # it asks before the first poll ends
        assert waiting.is_alive()
    gate.go.release()
    assert gate.inside.acquire(timeout=DEADLINE_S)
    assert not caught_up.is_set(), "the poll under way may have read before the call"
    gate.go.release()
    waiting.join(timeout=DEADLINE_S)
    assert caught_up.is_set()
    assert gate.polls >= 2
    recorder._stop.set()
    gate.go.release()
    recorder.stop()


def test_a_failing_collector_is_told_to_whoever_waits() -> None:
    recorder = Recorder([(Failing(), 0.0), (Counting(), 0.0)], clock=RunClock.start())
    recorder.start()
    for wait in (lambda: recorder.catch_up(timeout_s=DEADLINE_S), recorder.check, recorder.stop):
        with pytest.raises(HarnessError, match="a defect") as raised:
            wait()
        assert isinstance(raised.value.__cause__, KeyError)
    assert not any(thread.is_alive() for thread in recorder._threads), "it goes on without its evidence"


def test_a_poll_that_takes_too_long_is_told() -> None:
    gate = Gate()
    recorder = Recorder([(gate, 0.0)], clock=RunClock.start())
    recorder.start()
    with pytest.raises(HarnessError, match=r"more than 0\.05 s"):
        recorder.catch_up(timeout_s=0.05)
    recorder._stop.set()
    gate.go.release()
    recorder.stop()


def test_after_stopping_nothing_is_polled_any_more() -> None:
    counting = Counting()
    recorder = Recorder([(counting, 0.0)], clock=RunClock.start())
    recorder.start()
    recorder.catch_up(timeout_s=DEADLINE_S)
    recorder.stop()
    polls = counting.polls
    recorder.stop()
    recorder.check()
    assert polls == counting.polls > 0


def test_a_collector_that_is_kept_waiting_delays_no_other() -> None:
    gate, other = Gate(), Counting()
    recorder = Recorder([(gate, 0.0), (other, 0.0)], clock=RunClock.start())
    recorder.start()
    assert gate.inside.acquire(timeout=DEADLINE_S)
    wait_until(lambda: other.polls >= 3, what="the other goes on", timeout_s=DEADLINE_S)
    with pytest.raises(HarnessError, match=r"more than 0\.05 s"):
        recorder.catch_up(timeout_s=0.05)
    recorder._stop.set()
    gate.go.release()
    recorder.stop()


def test_every_collector_is_polled_once_in_a_period() -> None:
    counters = [Counting(), Counting()]
    recorder = Recorder([(each, 60.0) for each in counters], clock=RunClock.start())
    recorder.start()
    wait_until(lambda: min(recorder._completed_s) >= 0, what="both have polled", timeout_s=DEADLINE_S)
    recorder.stop()
    assert [each.polls for each in counters] == [1, 1]


def test_nobody_who_catches_up_waits_for_the_period_to_be_over() -> None:
    counting = Counting()
    recorder = Recorder([(counting, 60.0)], clock=RunClock.start())
    recorder.start()
    for polls in (2, 3):
        recorder.catch_up(timeout_s=DEADLINE_S)
        recorder.catch_up(timeout_s=DEADLINE_S)
        assert counting.polls >= polls
    recorder.stop()
    assert not any(thread.is_alive() for thread in recorder._threads)
