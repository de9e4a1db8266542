"""A time axis in per cent of its width, so that one drawing fits a telephone and a wall."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_TICK_STEPS = (1, 2, 5, 10)
_SCALE_STEPS = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10)


@dataclass(frozen=True, slots=True)
class Axis:
    """Seconds since the run began, from ``begin_s`` to a later ``end_s``."""

    begin_s: float
    end_s: float

    def percent(self, at_s: float) -> float:
        """0–100, with three decimals; what lies outside is at the edge."""
        share = (at_s - self.begin_s) / (self.end_s - self.begin_s)
        return round(100 * min(max(share, 0.0), 1.0), 3)

    def ticks(self, most: int = 8) -> tuple[float, ...]:
        """At most ``most`` round instants inside the axis."""
        step = _round_up((self.end_s - self.begin_s) / most, _TICK_STEPS)
        first = math.ceil(self.begin_s / step - 1e-9)
        last = math.floor(self.end_s / step + 1e-9)
        return tuple(round(number * step, 9) for number in range(first, last + 1))[: most + 1]


def value_range(values: Sequence[float]) -> tuple[float, float]:
    """From zero, or a round number below the least, to a round number that the greatest does not exceed."""
    low, high = min((*values, 0.0)), max((*values, 0.0))
    if low == high:
        return 0.0, 1.0
    return (-_round_up(-low, _SCALE_STEPS) if low < 0 else 0.0), (_round_up(high, _SCALE_STEPS) if high > 0 else 0.0)


def _round_up(value: float, steps: Sequence[float]) -> float:
    """The next of these steps times a power of ten, for a value above zero."""
    power = 10.0 ** math.floor(math.log10(value))
    return next((step * power for step in steps if step * power >= value * (1 - 1e-9)), 10 * power)
