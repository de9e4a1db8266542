"""How short of processors this machine is while a run goes on."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

# Source: Linux, Documentation/accounting/psi.rst. Not every kernel keeps it.
_PRESSURE = Path("/proc/pressure/cpu")


@dataclass(frozen=True, slots=True)
class Pressure:
    """What the kernel has counted until some moment: for how long something waited for a processor, in seconds."""

    at_s: float
    waited_s: float

    @staticmethod
    def begin(path: Path = _PRESSURE) -> Pressure | None:
        """From now on; None where the kernel does not count it."""
        try:
            some = next(line for line in path.read_text(encoding="ascii").splitlines() if line.startswith("some "))
            return Pressure(time.monotonic(), int(some.rpartition("total=")[2]) / 1e6)
        except (OSError, StopIteration, ValueError):
            return None

    def share(self, path: Path = _PRESSURE) -> float | None:
        """The share of the time since then, 0 to 1, in which something waited for a processor."""
        now = Pressure.begin(path)
        if now is None or now.at_s <= self.at_s:
            return None
        return round(min(1.0, max(0.0, (now.waited_s - self.waited_s) / (now.at_s - self.at_s))), 3)
