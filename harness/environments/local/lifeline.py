"""A pipe by which one process sees the end of another, however that ends: the kernel closes it.

Unlike a parent-death signal it cannot be missed by a process that was still being started.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import IO


@dataclass(frozen=True, slots=True)
class Lifeline:
    """``held`` stays open in this process and in those it is handed to; a reader of ``watched`` sees when none is left.

    No other child inherits either end.
    """

    held: IO[bytes]
    watched: IO[bytes]

    def release(self) -> None:
        """This process neither holds nor watches it any more. Doing it again does nothing."""
        self.held.close()
        self.watched.close()


def new_lifeline() -> Lifeline:
    """A lifeline whose both ends are here."""
    watched, held = os.pipe()
    # Without a buffer, in which what could not be written would wait for the release, and fail that.
    return Lifeline(os.fdopen(held, "wb", buffering=0), os.fdopen(watched, "rb"))
