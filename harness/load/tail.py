"""A file that grows, line by line."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(slots=True)
class Tail:
    """Reads each line of a growing file once."""

    path: Path
    _offset: int = 0
    _partial: bytes = field(default=b"")

    def read(self) -> tuple[str, ...]:
        """The lines completed since the last read, without their newlines.

        What follows the last newline is still being written and waits for the next read, so that neither a
        line nor a character in it is ever seen cut in two. A file that is not there yet has no lines.
        """
        try:
            with self.path.open("rb") as file:
                file.seek(self._offset)
                fresh = file.read()
        except FileNotFoundError:
            return ()
        self._offset += len(fresh)
        *complete, self._partial = (self._partial + fresh).split(b"\n")
        return tuple(line.decode("utf-8", errors="replace") for line in complete)
