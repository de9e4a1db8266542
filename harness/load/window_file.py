"""Where the lines of windows are written: a file, or standard output under the name ``-``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TextIO

_STANDARD_OUTPUT = "-"


def window_file(name: str) -> Path:
    """The path of this name. For ``-``, nothing but windows goes to standard output from here on.

    Locust and its libraries may print, even before the load begins; that then goes to standard error.
    """
    if name == _STANDARD_OUTPUT:
        sys.stdout = sys.stderr
    return Path(name)


def open_window_file(path: Path) -> TextIO:
    """The file, to append to. Closing it leaves standard output open."""
    if str(path) == _STANDARD_OUTPUT:
        return os.fdopen(os.dup(1), "w", encoding="utf-8")
    return path.open("a", encoding="utf-8")
