"""The undo ledger: what is or may be disturbed, on disk before it is, so that any process can put it right."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import HarnessError

LEDGER_FILE = "ledger.jsonl"


@dataclass(frozen=True, slots=True)
class Entry:
    """One fault that was about to be injected, with all its undo needs."""

    number: int
    fault: str
    record: Mapping[str, Any]


class Ledger:
    """Append-only; every line is on disk when ``open`` or ``close`` return."""

    def __init__(self, run_dir: Path) -> None:
        self._path = run_dir / LEDGER_FILE

    def open(self, fault: str, record: Mapping[str, Any]) -> Entry:
        """The entry now on disk for a fault that is about to go in."""
        entry = Entry(
            number=1 + max((entry.number for entry, _ in self._read()), default=0), fault=fault, record=record
        )
        self._append({"open": entry.number, "fault": fault, "record": dict(record)})
        return entry

    def close(self, entry: Entry) -> None:
        """The fault is undone."""
        self._append({"close": entry.number})

    def outstanding(self) -> tuple[Entry, ...]:
        """What has not been undone, the latest first. Raises HarnessError when the ledger is damaged."""
        return tuple(entry for entry, closed in reversed(self._read()) if not closed)

    def _read(self) -> list[tuple[Entry, bool]]:
        if not self._path.exists():
            return []
        opened: dict[int, Entry] = {}
        closed: set[int] = set()
        # A last line without its end was being written when the harness died: its fault was never injected.
        for number, line in enumerate(self._path.read_text(encoding="utf-8").split("\n")[:-1]):
            try:
                raw = json.loads(line)
                if "close" in raw:
                    closed.add(raw["close"])
                else:
                    opened[raw["open"]] = Entry(raw["open"], raw["fault"], raw["record"])
            except (ValueError, KeyError, TypeError) as error:
                raise HarnessError(f"{self._path}: line {number + 1} is not a ledger entry: {error}") from error
        return [(entry, entry.number in closed) for entry in opened.values()]

    def _append(self, raw: Mapping[str, Any]) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(raw) + "\n")
            file.flush()
            os.fsync(file.fileno())
