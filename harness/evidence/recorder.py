"""Keeps every collector reading while a run goes on."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Protocol

from harness.clock import RunClock
from harness.errors import HarnessError


class Collector(Protocol):
    """Reads one source of evidence. ``poll`` records what is new, and a gap where the source cannot be read."""

    def poll(self) -> None: ...


class Recorder:
    """Polls collectors in turn on a thread of its own, every ``period_s`` seconds, until stopped.

    A collector that raises has a defect: the recorder stops and ``check``, which whoever waits calls, says so, since a
    run without its evidence must not go on as if nothing had happened.
    """

    def __init__(self, collectors: Sequence[Collector], *, clock: RunClock, period_s: float) -> None:
        self._collectors = tuple(collectors)
        self._clock = clock
        self._period_s = period_s
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._completed_s: float | None = None
        self._round = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)

    def start(self) -> None:
        """The first round begins at once."""
        self._thread.start()

    def check(self) -> None:
        """Raises HarnessError when a collector has failed."""
        if self._failure is not None:
            raise HarnessError(f"the recorder stopped: {self._failure!r}") from self._failure

    def catch_up(self, *, timeout_s: float) -> None:
        """Returns when every collector has read everything up to now. Raises HarnessError when that takes too long."""
        asked_s = self._clock.now_s()
        with self._round:
            done = self._round.wait_for(
                lambda: self._failure is not None or (self._completed_s or -1.0) >= asked_s, timeout=timeout_s
            )
        self.check()
        if not done:
            raise HarnessError(f"the collectors took more than {timeout_s:g} s for one round")

    def stop(self) -> None:
        """Ends the thread after its round; calling it again does nothing. Raises HarnessError as ``check`` does."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=30)
        self.check()

    def _run(self) -> None:
        while not self._stop.is_set():
            began_s = self._clock.now_s()
            try:
                for collector in self._collectors:
                    collector.poll()
            except BaseException as error:  # noqa: BLE001 - a thread's failure is carried to the run's own thread
                self._failure = error
            with self._round:
                self._completed_s = began_s
                self._round.notify_all()
            if self._failure is not None:
                return
            self._stop.wait(max(0.0, self._period_s - (self._clock.now_s() - began_s)))
