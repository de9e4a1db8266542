"""Durations as Prometheus writes them, the run's clock, and the one way to wait."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

# The order and the units are Prometheus's: a year is 365 days, a week 7 days.
# Source: prometheus.io/docs/prometheus/latest/querying/basics, "Time Durations".
_UNIT_MS = {"y": 31_536_000_000, "w": 604_800_000, "d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
_DURATION = re.compile(
    r"(?:(?P<y>\d+)y)?(?:(?P<w>\d+)w)?(?:(?P<d>\d+)d)?(?:(?P<h>\d+)h)?(?:(?P<m>\d+)m)?(?:(?P<s>\d+)s)?(?:(?P<ms>\d+)ms)?",
    re.ASCII,
)
# Prometheus and Alertmanager count durations in nanoseconds, in 63 bits.
_LONGEST_MS = (2**63 - 1) // 1_000_000
_MOST_DIGITS = 19


def parse_duration(text: str) -> float:
    """Seconds of a Prometheus duration such as ``30s``, ``1h30m`` or ``500ms``; ``0`` is zero.

    Raises ValueError when the text is not one.
    """
    if text == "0":
        return 0.0
    match = _DURATION.fullmatch(text)
    if not text or match is None:
        raise ValueError(f"{text!r} is not a duration such as 30s, 5m or 1h30m")
    counts = {unit: count for unit, count in match.groupdict().items() if count}
    if any(len(count) > _MOST_DIGITS for count in counts.values()):
        raise ValueError(f"{text[:20]}… is longer than the 292 years that a duration can hold")
    total_ms = sum(int(count) * _UNIT_MS[unit] for unit, count in counts.items())
    if total_ms > _LONGEST_MS:
        raise ValueError(f"{text!r} is longer than the 292 years that a duration can hold")
    return total_ms / 1000


def format_duration(seconds: float) -> str:
    """The shortest Prometheus duration for these seconds, rounded to the millisecond (``90`` → ``1m30s``).

    Weeks and years are never used, since some parsers of this syntax do not know them.
    Raises ValueError for a negative or non-finite number.
    """
    if not 0 <= seconds < float("inf"):
        raise ValueError(f"a duration cannot be {seconds} s")
    rest_ms = round(seconds * 1000)
    if rest_ms == 0:
        return "0s"
    parts = []
    for unit in ("d", "h", "m", "s", "ms"):
        count, rest_ms = divmod(rest_ms, _UNIT_MS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)


@dataclass(frozen=True, slots=True)
class RunClock:
    """The two clocks of a run: monotonic for order and durations, wall time to line up with servers."""

    origin_monotonic_s: float
    origin_unix_s: float

    @classmethod
    def start(cls) -> RunClock:
        """A clock whose zero is now."""
        return cls(origin_monotonic_s=time.monotonic(), origin_unix_s=time.time())

    def now_s(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self.origin_monotonic_s

    def from_unix(self, unix_s: float) -> float:
        """A server's wall time as seconds since the run began."""
        return unix_s - self.origin_unix_s

    def to_unix(self, t_s: float) -> float:
        """Seconds since the run began as wall time."""
        return t_s + self.origin_unix_s


class DeadlineExceeded(Exception):
    """What was awaited did not come in time; the message holds the last observation."""


def wait_until(
    probe: Callable[[], T | None],
    *,
    what: str,
    timeout_s: float,
    poll_s: float = 0.05,
    last: Callable[[], str] | None = None,
) -> T:
    """The first value of ``probe`` that is neither None nor False.

    ``last`` describes the most recent observation for the message.
    Raises DeadlineExceeded after ``timeout_s`` seconds; the probe runs at least once.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        value = probe()
        if value is not None and value is not False:
            return value
        if not time.monotonic() < deadline:  # so that a timeout that is no number ends too
            seen = f"; last seen: {last()}" if last else ""
            raise DeadlineExceeded(f"{what}: not within {timeout_s:g} s{seen}")
        time.sleep(min(poll_s, max(0.0, deadline - time.monotonic())))
