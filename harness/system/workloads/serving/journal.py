"""The journal of responses: JSON Lines on the model's volume, bounded in size."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from harness.system.line_file import append_line
from harness.system.telemetry.logs import get_logger

# Two files of this size: the one written and the one before it.
MAX_FILE_BYTES = 512 * 1024
# A volume on the edge of being full takes short lines and refuses long ones. Without a pause, each change
# would be a log event.
_RETRY_S = 1.0


class Journal:
    """Appends one line for each response; lines are whole, and two files of the given size are the most kept.

    A volume that takes no more costs lines, never a response: the first failure is one error event, further
    ones are only counted, and the first line written again is one more event.
    """

    def __init__(
        self,
        path: Path,
        *,
        max_file_bytes: int = MAX_FILE_BYTES,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._now_s = now_s
        self._path = path
        self._max_file_bytes = max_file_bytes
        self._lost = 0
        self._failing = False
        self._retry_at_s = 0.0

    def append(self, entry: Mapping[str, Any]) -> None:
        """Write one entry, or count it as lost."""
        if self._failing and self._now_s() < self._retry_at_s:
            self._lost += 1
            return
        try:
            self._write(json.dumps(entry, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n")
        except OSError as error:
            self._fail(error)
        else:
            self._recover()

    def _write(self, line: bytes) -> None:
        try:
            size = self._path.stat().st_size
        except FileNotFoundError:
            size = 0
        if size and size + len(line) > self._max_file_bytes:
            os.replace(self._path, self._path.with_name(f"{self._path.name}.1"))
        append_line(self._path, line)

    def _fail(self, error: OSError) -> None:
        self._lost += 1
        self._retry_at_s = self._now_s() + _RETRY_S
        if not self._failing:
            self._failing = True
            get_logger().error(
                "response journal cannot be written", path=str(self._path), errno=error.errno, exc_info=error
            )

    def _recover(self) -> None:
        if self._failing:
            self._failing = False
            get_logger().info("response journal is written again", path=str(self._path), lost=self._lost)
            self._lost = 0
