"""Durations of the programs' command lines, in Prometheus's notation, and how they shrink with the time scale."""

from __future__ import annotations

import math
import os
import re

SCALE_VARIABLE = "TIME_SCALE"

# In seconds; a year is 365 days. The units come largest first and each at most once.
# Source: prometheus.io/docs/prometheus/latest/querying/basics, "Time durations".
_UNITS_S = {"y": 31_536_000, "w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1, "ms": 0.001}
_DURATION = re.compile("".join(rf"(?:(?P<{unit}>[0-9]+){unit})?" for unit in _UNITS_S))


def parse_duration(text: str) -> float:
    """Seconds of a duration such as ``30s``, ``1h30m`` or ``500ms``; ``0`` is zero.

    Raises ValueError when the text is not one.
    """
    match = _DURATION.fullmatch(text)
    if text == "0":
        return 0.0
    if not text or match is None:
        raise ValueError(f"{text!r} is not a duration such as 30s, 5m or 1h30m")
    return math.fsum(int(count) * _UNITS_S[unit] for unit, count in match.groupdict().items() if count)


def real_s(spec_s: float, *, at_least_s: float = 0.0) -> float:
    """Real seconds for these seconds of spec time: divided by the environment's ``TIME_SCALE`` (1 without it).

    Never less than ``at_least_s``. Raises ValueError when the variable holds no number above 0.
    """
    text = os.environ.get(SCALE_VARIABLE, "1")
    try:
        scale = float(text)
    except ValueError:
        scale = math.nan
    if not 0 < scale < math.inf:
        raise ValueError(f"{SCALE_VARIABLE}={text!r}: need a number above 0, such as 60")
    return max(at_least_s, spec_s / scale)
