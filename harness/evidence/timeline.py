"""The run's append-only record: written line by line as it happens, read back as the same events."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from harness.clock import RunClock
from harness.errors import InputError, Mistake
from harness.evidence.events import KINDS
from harness.model import Event

# What a driver is given to write with: kind, name, data.
Record = Callable[[str, str, Mapping[str, Any]], Event]


class Timeline:
    """Appends events to a JSON Lines file and keeps them for whoever waits on one.

    Safe to call from several threads. Every line is flushed as it is written, so that a killed run leaves its record.
    """

    def __init__(self, path: Path, clock: RunClock) -> None:
        self._file: TextIO = path.open("x", encoding="utf-8", errors="backslashreplace")
        self._clock = clock
        self._events: list[Event] = []
        self._lock = threading.Lock()

    @property
    def clock(self) -> RunClock:
        """The clock all its times are on."""
        return self._clock

    def record(self, kind: str, name: str, data: Mapping[str, Any]) -> Event:
        """The event written. ``kind`` is one of ``harness.evidence.events``; ``data`` must be representable as JSON.

        The event holds a copy of ``data`` as it is read back later: a verdict on the run and one on its record agree.
        """
        if kind not in KINDS:
            raise ValueError(f"{kind!r} is not a kind of event")
        with self._lock:
            now_s = self._clock.now_s()
            event = Event(
                seq=len(self._events),
                t_s=round(now_s, 6),
                wall_unix_s=round(self._clock.to_unix(now_s), 6),
                kind=kind,
                name=name,
                data=json.loads(json.dumps(_without_nan(data), allow_nan=False)),
            )
            self._file.write(_to_line(event))
            self._file.flush()
            self._events.append(event)
        return event

    def events(self, since: int = 0) -> tuple[Event, ...]:
        """The events so far, from sequence number ``since`` on."""
        with self._lock:
            return tuple(self._events[since:])

    def close(self) -> None:
        """Nothing more is written; calling it again does nothing."""
        self._file.close()


def read_timeline(path: Path) -> tuple[Event, ...]:
    """The events of a timeline file, in order. A last line cut short by a killed run is left out.

    Raises InputError naming file and line when the record is damaged: a sequence number missing or out of order, or
    a line in the middle that does not parse. A record with a hole proves nothing.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise InputError([Mistake(path, "", f"cannot be read: {error}")]) from error
    return tuple(_parse(path, lines))


def _parse(path: Path, lines: list[bytes]) -> Iterator[Event]:
    # What follows the last newline was being written when the run died; it may end inside a character.
    for number, line in enumerate(lines[:-1]):
        try:
            raw = json.loads(line.decode("utf-8"))
            event = Event(
                seq=raw["seq"],
                t_s=raw["t_s"],
                wall_unix_s=raw["wall_unix_s"],
                kind=raw["kind"],
                name=raw["name"],
                data=raw["data"],
            )
        except (ValueError, KeyError, TypeError) as error:
            raise InputError([Mistake(path, f"line {number + 1}", f"is not an event: {error}")]) from error
        if event.seq != number:
            problem = f"has sequence number {event.seq}, expected {number}: the record has a hole"
            raise InputError([Mistake(path, f"line {number + 1}", problem)])
        yield event


def _to_line(event: Event) -> str:
    raw = {
        "seq": event.seq,
        "t_s": event.t_s,
        "wall_unix_s": event.wall_unix_s,
        "kind": event.kind,
        "name": event.name,
        "data": event.data,
    }
    return json.dumps(raw, ensure_ascii=False, separators=(",", ":"), allow_nan=False) + "\n"


def _without_nan(value: Any) -> Any:
    """JSON has no NaN or infinity: they are kept as the strings Prometheus uses."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("+Inf" if value > 0 else "-Inf")
    if isinstance(value, Mapping):
        return {str(key): _without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(item) for item in value]
    return value
