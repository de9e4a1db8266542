"""The undo ledger: what is or may be disturbed, on disk before it is, so that any process can put it right."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from harness.errors import HarnessError

LEDGER_FILE = "ledger.jsonl"


@dataclass(frozen=True, slots=True)
class Entry:
    """One fault that was about to be injected, with all its undo needs."""

    number: int
    fault: str
    record: Mapping[str, Any]


class Ledger:
    """Append-only; every line is on disk when ``open`` or ``close`` return. Safe for several processes at once."""

    def __init__(self, run_dir: Path) -> None:
        self._path = run_dir / LEDGER_FILE

    def open(self, fault: str, record: Mapping[str, Any]) -> Entry:
        """The entry now on disk for a fault that is about to go in. Raises HarnessError when the ledger is damaged."""
        with self._locked() as file:
            number = 1 + max((entry.number for entry, _ in self._entries(file.read())), default=0)
            _append(file, {"open": number, "fault": fault, "record": dict(record)})
        return Entry(number, fault, record)

    def close(self, entry: Entry) -> None:
        """The fault is undone."""
        with self._locked() as file:
            _append(file, {"close": entry.number})

    def outstanding(self) -> tuple[Entry, ...]:
        """What has not been undone, the latest first. Raises HarnessError when the ledger is damaged."""
        try:
            raw = self._path.read_bytes()
        except FileNotFoundError:
            return ()
        return tuple(entry for entry, closed in reversed(self._entries(raw)) if not closed)

    def _entries(self, raw: bytes) -> list[tuple[Entry, bool]]:
        opened: dict[int, Entry] = {}
        closed: set[int] = set()
        # A last line without its end was being written when the harness died: its fault was never injected.
        for number, line in enumerate(raw.split(b"\n")[:-1]):
            try:
                entry = json.loads(line)
                if "close" in entry:
                    closed.add(int(entry["close"]))
                else:
                    opened[int(entry["open"])] = Entry(int(entry["open"]), str(entry["fault"]), dict(entry["record"]))
            except (ValueError, KeyError, TypeError) as error:
                raise HarnessError(f"{self._path}: line {number + 1} is not a ledger entry: {error}") from error
        return [(entry, entry.number in closed) for entry in opened.values()]

    @contextmanager
    def _locked(self) -> Iterator[BinaryIO]:
        with self._path.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            yield file


def _append(file: BinaryIO, raw: Mapping[str, Any]) -> None:
    """Writes one line; a cut-off line before it goes first, since the two together would read as damage."""
    file.seek(0)
    whole = file.read()
    file.truncate(whole.rfind(b"\n") + 1)
    file.write(json.dumps(raw).encode() + b"\n")
    file.flush()
    os.fsync(file.fileno())
