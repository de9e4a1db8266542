"""What a long run is doing: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TextIO

from rich.console import Console
from rich.status import Status


class _Console(Console):
    """Falls silent when nobody reads any more; rich would end the program, and a run has faults to undo."""

    def on_broken_pipe(self) -> None:
        self.quiet = True


class Progress:
    """Shows each step with the seconds since the start. Text of others is shown as it is, never as markup."""

    def __init__(self, stream: TextIO) -> None:
        self._console = _Console(file=stream, highlight=False, markup=False, emoji=False, soft_wrap=True)
        self._status: Status | None = None
        self._start_s = time.monotonic()

    def __enter__(self) -> Progress:
        if self._console.is_terminal:
            self._status = self._console.status("starting")
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status is not None:
            self._status.stop()

    def say(self, text: str) -> None:
        """One step. Steps that are part of one begin with a space: on a terminal they only replace the live line."""
        line = f"[{time.monotonic() - self._start_s:6.1f} s] {text}"
        if self._status is not None:
            self._status.update(text.strip())
            if text.startswith(" "):
                return
        self._console.print(line)
