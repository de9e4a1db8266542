"""What a load generator did, in windows of equal length, one JSON line each.

A line holds ``from_unix_s`` and ``to_unix_s`` (half-open), then of that window:

- ``planned``: arrivals that were due in it, whatever became of them;
- ``requests``: those that came to an end in it, ``errors`` among them, ``reasons`` of these by label;
- ``latency_buckets``: how long callers waited, from the planned instant: until the answer, or until they gave
  up (a time-out). The unfinished count with the time they had waited, the least it can have been;
- ``error_latency_buckets``: the other errors, which may come at once and would flatter the figures above;
- ``lag_p99_s``: how late the requests begun in it were begun, null when none was;
- ``rate_planned``: arrivals per second asked for; ``in_flight``: requests under way at its end;
- ``unfinished``: requests given up since the run ended; neither answered nor in error;
- ``worker``: which of several workers wrote it, from 0; absent where one process makes all the load. All of the
  above, ``rate_planned`` too, is then of this worker alone.

A refused arrival (too many in flight) is an error without a latency.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from harness.latencies import Latencies, bucket_of

TIMEOUT = "timeout"
TOO_MANY = "max_in_flight"


@dataclass(slots=True)
class _Window:
    planned: int = 0
    requests: int = 0
    unfinished: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    waited: Counter[int] = field(default_factory=Counter)
    failed: Counter[int] = field(default_factory=Counter)
    lags_s: list[float] = field(default_factory=list)


class Windows:
    """Sorts what happens into windows by its instant, and gives up each window as a line once it is over.

    All instants are seconds since the load began, which was at ``begin_unix_s``.
    """

    def __init__(self, *, begin_unix_s: float, width_s: float, rate: float, worker: int | None = None) -> None:
        self._begin_unix_s = begin_unix_s
        self._width_s = width_s
        self._rate = rate
        self._worker = worker
        self._open: dict[int, _Window] = {}
        self._next = 0

    def planned(self, due_s: float) -> None:
        """An arrival was due."""
        self._at(due_s).planned += 1

    def begun(self, now_s: float, *, lag_s: float) -> None:
        """A request was begun, this long after it was due."""
        self._at(now_s).lags_s.append(lag_s)

    def ended(self, now_s: float, *, latency_s: float | None, reason: str | None) -> None:
        """A request came to an end; ``reason`` is None for success, ``latency_s`` None if it never began."""
        window = self._at(now_s)
        window.requests += 1
        if reason is not None:
            window.reasons[reason] += 1
        if latency_s is not None:
            counts = window.waited if reason in (None, TIMEOUT) else window.failed
            counts[bucket_of(latency_s)] += 1

    def close_until(self, until_s: float, *, in_flight: int) -> Iterator[str]:
        """The lines of the windows that end at or before ``until_s`` and were not given before, in order."""
        while (self._next + 1) * self._width_s <= until_s:
            yield self._line((self._next + 1) * self._width_s, in_flight)

    def finish(self, now_s: float, *, waiting_s: Iterable[float]) -> Iterator[str]:
        """The lines that are left; ``waiting_s`` is how long each unfinished request has waited."""
        yield from self.close_until(now_s, in_flight=0)
        window = self._at(now_s)
        for waited_s in waiting_s:
            window.unfinished += 1
            window.waited[bucket_of(waited_s)] += 1
        yield self._line(now_s, 0)

    def _at(self, at_s: float) -> _Window:
        """The window of an instant; what comes late for its own goes to the oldest one not given up yet."""
        return self._open.setdefault(max(self._next, math.floor(at_s / self._width_s)), _Window())

    def _line(self, end_s: float, in_flight: int) -> str:
        window = self._open.pop(self._next, _Window())
        fields: dict[str, Any] = {
            "from_unix_s": round(self._begin_unix_s + self._next * self._width_s, 6),
            "to_unix_s": round(self._begin_unix_s + end_s, 6),
            "planned": window.planned,
            "requests": window.requests,
            "errors": window.reasons.total(),
            "reasons": dict(sorted(window.reasons.items())),
            "latency_buckets": Latencies(window.waited).to_json(),
            "error_latency_buckets": Latencies(window.failed).to_json(),
            "lag_p99_s": _p99(window.lags_s),
            "rate_planned": self._rate,
            "in_flight": in_flight,
            "unfinished": window.unfinished,
        }
        if self._worker is not None:
            fields["worker"] = self._worker
        self._next += 1
        return json.dumps(fields, separators=(",", ":")) + "\n"


def _p99(values: list[float]) -> float | None:
    if not values:
        return None
    return round(sorted(values)[math.ceil(0.99 * len(values)) - 1], 6)
