"""A run ends in order on Ctrl-C, SIGTERM and SIGHUP: waiting ends, faults come out, pods end, the report is written."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interruption:
    """Remembers the first signal; a second one is not waited for. Under ``nohup`` the terminal may go."""

    def __init__(self) -> None:
        self.signal_name: str | None = None
        stays = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        self._signals = tuple(each for each in _SIGNALS if each is not signal.SIGHUP or not stays)

    def check(self) -> None:
        """Raises KeyboardInterrupt once a signal has come: called by everything that waits."""
        if self.signal_name is not None:
            raise KeyboardInterrupt(self.signal_name)

    @contextmanager
    def handled(self) -> Iterator[None]:
        """Within, the signals are remembered; afterwards they do what they did before."""
        before = {number: signal.getsignal(number) for number in self._signals}
        self.take_signals()
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def take_signals(self) -> None:
        """Makes the signals come here; Chaos Toolkit takes SIGTERM for itself whenever it starts an experiment."""
        for number in self._signals:
            signal.signal(number, self._remember)

    def _remember(self, number: int, frame: FrameType | None) -> Any:
        if self.signal_name is not None:
            raise KeyboardInterrupt(self.signal_name)
        self.signal_name = signal.Signals(number).name
