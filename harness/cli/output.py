"""Standard output and error whose readers may leave: what is printed then goes nowhere, and the work goes on."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast


class Outlasting:
    """A stream that goes on when nobody reads it any more, as with ``| head``; all else is the stream's own."""

    def __init__(self, stream: Any) -> None:
        """``stream``: of text or of bytes."""
        self._stream = stream

    @property
    def buffer(self) -> Outlasting:
        """The stream of bytes below one of text, to which click writes where the text's encoding is ASCII."""
        return Outlasting(self._stream.buffer)

    def write(self, written: Any) -> int:
        """How much was taken, be there a reader or not."""
        with self._outlasted():
            return int(self._stream.write(written))
        return len(written)

    def flush(self) -> None:
        """What was written is on its way."""
        with self._outlasted():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @contextmanager
    def _outlasted(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


def outlast_readers() -> None:
    """From here on printing ends nothing: no undo is left, and no exit code changed, since a reader has seen enough.

    A character that the terminal lacks is shown as a question mark.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    sys.stdout = cast(TextIO, Outlasting(sys.stdout))
    sys.stderr = cast(TextIO, Outlasting(sys.stderr))
