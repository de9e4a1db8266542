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
    """Polls every collector on a thread of its own, every ``period_s`` seconds, until stopped.

    So a source that keeps its collector waiting, like a pod whose address answers no more, delays no other's record.
    A collector that raises has a defect: all stop, and ``check``, which whoever waits calls, says so, since a run
    without its evidence must not go on as if nothing had happened.
    """

    def __init__(self, collectors: Sequence[Collector], *, clock: RunClock, period_s: float) -> None:
        self._clock = clock
        self._period_s = period_s
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        # When the last poll that has ended was begun, by the collector's place.
        self._completed_s = [-1.0] * len(collectors)
        self._polled = threading.Condition()
        self._threads = [
            threading.Thread(target=self._run, args=(place, collector), name=f"recorder {place}", daemon=True)
            for place, collector in enumerate(collectors)
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
        asked_s = self._clock.now_s()
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
        self._stop.set()
        deadline_s = self._clock.now_s() + _STOP_S
        for thread in self._threads:
            if thread.is_alive():
                thread.join(timeout=max(0.0, deadline_s - self._clock.now_s()))
        self.check()

    def _run(self, place: int, collector: Collector) -> None:
        while not self._stop.is_set():
            began_s = self._clock.now_s()
            try:
                collector.poll()
            except BaseException as error:  # noqa: BLE001 - a thread's failure is carried to the run's own thread
                self._failure = self._failure or error
                self._stop.set()
            with self._polled:
                self._completed_s[place] = began_s
                self._polled.notify_all()
            self._stop.wait(max(0.0, self._period_s - (self._clock.now_s() - began_s)))
