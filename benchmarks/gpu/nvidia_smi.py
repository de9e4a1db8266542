"""What ``nvidia-smi`` says of each device."""

from __future__ import annotations

import csv
import math
import subprocess
from collections.abc import Mapping

# Each metric of the exporter, with nvidia-smi's field for it and what one of the field's units is in the metric's.
FIELDS: Mapping[str, tuple[str, float]] = {
    "gpu_temperature_celsius": ("temperature.gpu", 1.0),
    "gpu_power_watts": ("power.draw", 1.0),
    "gpu_memory_used_bytes": ("memory.used", 2.0**20),
    "gpu_memory_total_bytes": ("memory.total", 2.0**20),
    "gpu_utilization_percent": ("utilization.gpu", 1.0),
    "gpu_memory_utilization_percent": ("utilization.memory", 1.0),
}
# How nvidia-smi says that there is no figure, always in square brackets: [N/A], [Not Supported], [Unknown Error] …
_ABSENT = "["
_ABSENT_WORDS = frozenset({"", "N/A", "Not Supported"})

# gpu_id → metric → figure in the metric's unit; None where nvidia-smi has none.
Readings = Mapping[str, Mapping[str, float | None]]


def query(*, program: str = "nvidia-smi", timeout_s: float = 10.0) -> Readings:
    """The figures of all devices now. Raises RuntimeError with what it said when it fails."""
    fields = ",".join(("index", *(field for field, _ in FIELDS.values())))
    asked = [program, f"--query-gpu={fields}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, timeout=timeout_s, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RuntimeError(f"{' '.join(asked)}: {error}") from error
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(asked)}: status {done.returncode}: {(done.stdout + done.stderr).strip()}")
    return parse(done.stdout)


def parse(text: str) -> Readings:
    """The figures in the output of ``query``. Raises RuntimeError for a line that is not one of it."""
    readings: dict[str, dict[str, float | None]] = {}
    for row in csv.reader(text.splitlines(), skipinitialspace=True):
        if len(row) != 1 + len(FIELDS) or not row[0].strip().isdigit():
            raise RuntimeError(f"nvidia-smi: got the line {row}, expected an index and {len(FIELDS)} figures")
        figures = zip(FIELDS.items(), row[1:], strict=True)
        readings[row[0].strip()] = {metric: _figure(text, unit) for (metric, (_, unit)), text in figures}
    return readings


def _figure(text: str, unit: float) -> float | None:
    text = text.strip()
    if text.startswith(_ABSENT) or text in _ABSENT_WORDS:
        return None
    try:
        figure = float(text)
    except ValueError:
        figure = math.nan
    if not math.isfinite(figure):
        raise RuntimeError(f"nvidia-smi: got the figure {text!r}, expected a number or [N/A]")
    return figure * unit
