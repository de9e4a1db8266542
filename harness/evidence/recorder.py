"""Keeps every collector reading while a run goes on."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Protocol

from harness.clock import RunClock
from harness.errors import HarnessError

_STOP_S = 30.0


class Collector(Protocol):
    """Reads one source of evidence. ``poll`` records what is new, and a gap where the source cannot be read."""

    def poll(self) -> None: ...


class Recorder:
    """Polls every collector on a thread of its own, in a period of its own and at once for ``catch_up``, until stopped.

    So a source that keeps its collector waiting, like a pod whose address answers no more, delays no other's record.
    A collector that raises has a defect: all stop, and ``check``, which whoever waits calls, says so, since a run
    without its evidence must not go on as if nothing had happened.
    """

    def __init__(self, collectors: Sequence[tuple[Collector, float]], *, clock: RunClock) -> None:
        """``collectors``: each with its period in seconds."""
        self._clock = clock
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        # When the last poll that has ended was begun, by the collector's place.
        self._completed_s = [-1.0] * len(collectors)
        self._asked_s = -1.0
        self._polled, self._asked = (threading.Condition() for _ in range(2))
        self._threads = [
            threading.Thread(target=self._run, args=(place, *each), name=f"recorder {place}", daemon=True)
            for place, each in enumerate(collectors)
        ]

    def start(self) -> None:
        """The first polls begin at once."""
        for thread in self._threads:
            thread.start()

    def check(self) -> None:
        """Raises HarnessError when a collector has failed."""
        if self._failure is not None:
            raise HarnessError(f"the recorder stopped: {self._failure!r}") from self._failure

    def catch_up(self, *, timeout_s: float) -> None:
        """Returns when every collector has read everything up to now. Raises HarnessError when that takes too long."""
        with self._asked:
            asked_s = self._asked_s = self._clock.now_s()
            self._asked.notify_all()
        with self._polled:
            done = self._polled.wait_for(
                lambda: self._failure is not None or min(self._completed_s, default=asked_s) >= asked_s,
                timeout=timeout_s,
            )
        self.check()
        if not done:
            raise HarnessError(f"a collector took more than {timeout_s:g} s for one poll")

    def stop(self) -> None:
        """Ends every thread after its poll; calling it again does nothing. Raises HarnessError as ``check`` does."""
        self._end()
        deadline_s = self._clock.now_s() + _STOP_S
        for thread in self._threads:
            if thread.is_alive():
                thread.join(timeout=max(0.0, deadline_s - self._clock.now_s()))
        self.check()

    def _end(self) -> None:
        with self._asked:
            self._stop.set()
            self._asked.notify_all()

    def _run(self, place: int, collector: Collector, period_s: float) -> None:
        while not self._stop.is_set():
            began_s = self._clock.now_s()
            try:
                collector.poll()
            except BaseException as error:  # noqa: BLE001 - a thread's failure is carried to the run's own thread
                self._failure = self._failure or error
                self._end()
            with self._polled:
                self._completed_s[place] = began_s
                self._polled.notify_all()
            with self._asked:
                left_s = period_s - (self._clock.now_s() - began_s)
                self._asked.wait_for(lambda: self._stop.is_set() or self._asked_s > began_s, max(0.0, left_s))  # noqa: B023
