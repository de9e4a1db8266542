"""A load generator's windows, as events, and what was not heard of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from harness.clock import RunClock
from harness.load.tail import Tail

# The kinds and names of the events written; harness/evidence/events.py says what they hold.
_LOAD, _WINDOW, _GAP = "load", "window", "gap"
# Half a second on an idle machine, but a run starts its load while much else starts.
_START_ALLOWANCE_S = 15.0


class WindowReader:
    """Records what one process writes to its window file: a ``load`` event a window, a ``gap`` where it was silent.

    A load of several workers needs a reader for each; all may record on one timeline, and a gap of any of them is a
    gap of the load. ``source`` names the process in a gap's words. ``silence_s``: how long no window may come
    before that is a gap; the first one may take ``start_allowance_s`` from now. ``last_words``: what the process said
    elsewhere. A reader is for one thread at a time.
    """

    def __init__(
        self,
        path: Path,
        *,
        clock: RunClock,
        record: Callable[[str, str, Mapping[str, Any]], object],
        silence_s: float,
        source: str = "locust",
        start_allowance_s: float = _START_ALLOWANCE_S,
        last_words: Callable[[], str] | None = None,
    ) -> None:
        self._tail = Tail(path)
        self._clock = clock
        self._record = record
        self._silence_s = silence_s
        self._source = source
        self._last_words = last_words
        self._windows = 0
        self._seen_until_s = clock.now_s()
        self._quiet_after_s = self._seen_until_s + start_allowance_s

    @property
    def windows(self) -> int:
        """How many windows were recorded."""
        return self._windows

    @property
    def seen_until_s(self) -> float:
        """Up to where windows and gaps have told what happened, in seconds of the run."""
        return self._seen_until_s

    def poll(self, *, ended: bool = False) -> None:
        """Records the windows written since the last poll, and a gap once none came for too long.

        ``ended``: nothing more is to be expected of the process, so its silence is no gap.
        """
        for line in self._tail.read():
            self._record_window(line)
        if not ended and self._clock.now_s() > self._quiet_after_s:
            said = f"; its last words: {self._last_words()}" if self._last_words else ""
            self.record_gap(f"{self._source} wrote no window{said}")

    def record_gap(self, error: str) -> None:
        """Records that from the last window until now nothing is known, for a reason known elsewhere."""
        now_s = self._clock.now_s()
        self._record(_GAP, _LOAD, {"from_s": self._seen_until_s, "to_s": now_s, "error": error})
        self._seen_until_s = now_s
        self._quiet_after_s = now_s + self._silence_s

    def _record_window(self, line: str) -> None:
        try:
            raw = json.loads(line)
            data = {
                "from_s": round(self._clock.from_unix(raw.pop("from_unix_s")), 6),
                "to_s": round(self._clock.from_unix(raw.pop("to_unix_s")), 6),
                "rate": raw.pop("rate_planned"),
                **raw,
            }
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            self.record_gap(f"{self._source} wrote {line[:200]!r}, not a window: {error!r}")
            return
        self._record(_LOAD, _WINDOW, data)
        self._windows += 1
        self._seen_until_s = data["to_s"]
        self._quiet_after_s = self._clock.now_s() + self._silence_s
