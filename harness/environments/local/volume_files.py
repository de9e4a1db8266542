"""Files in pods' volumes, changed as faults change them."""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path

_PIECE_BYTES = 2**20


def replace(path: Path, content: bytes) -> None:
    """The file changes whole, as Kubernetes and good programs do it."""
    partial = path.with_name(f".{path.name}.harness")
    partial.write_bytes(content)
    os.chmod(partial, 0o644)
    partial.replace(path)


def allocate(path: Path, size_bytes: int) -> None:
    """The file takes this much space, or all there is where that is less."""
    with path.open("wb", buffering=0) as file:
        try:
            os.posix_fallocate(file.fileno(), 0, size_bytes)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            # A tmpfs takes back what it had given, so the rest is taken piece by piece.
            _write_until_full(file, size_bytes)


def _write_until_full(file: io.RawIOBase, most_bytes: int) -> None:
    piece = bytes(min(most_bytes, _PIECE_BYTES))
    written = 0
    while written < most_bytes:
        try:
            written += file.write(piece[: most_bytes - written]) or 0
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            return
