"""Whether the exporter says what ``nvidia-smi`` says, reading for reading.

A device changes between two looks. So each scrape lies between two of nvidia-smi's readings, and has to lie within what
these two span, and a tolerance for what can happen in between or is rounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from benchmarks.gpu.nvidia_smi import FIELDS, Readings

# In the metric's own unit; and as a share of the figure. Whichever is more.
TOLERANCES: Mapping[str, tuple[float, float]] = {
    "gpu_temperature_celsius": (1.0, 0.0),  # whole degrees
    "gpu_power_watts": (5.0, 0.05),  # an average over up to a second, anew at each look
    "gpu_memory_used_bytes": (64 * 2.0**20, 0.0),  # nvidia-smi itself is a client of the driver
    "gpu_memory_total_bytes": (2.0**20, 0.0),  # whole MiB
    "gpu_utilization_percent": (10.0, 0.0),  # a sample period of up to a second
    "gpu_memory_utilization_percent": (10.0, 0.0),
}


@dataclass(frozen=True, slots=True)
class Comparison:
    """One figure of one device; None where that side had none. ``agrees`` is None where nothing was compared."""

    gpu_id: str
    metric: str
    exporter: float | None
    before: float | None
    after: float | None

    @property
    def agrees(self) -> bool | None:
        """Whether the exporter's figure lies within nvidia-smi's two and the tolerance, or is absent as they are."""
        seen = [each for each in (self.before, self.after) if each is not None]
        if self.exporter is None or not seen:
            return None if self.exporter is None and not seen else False
        least, share = TOLERANCES[self.metric]
        tolerance = max(least, share * abs(self.exporter))
        return min(seen) - tolerance <= self.exporter <= max(seen) + tolerance


def compare(scrape: Callable[[], str], smi: Callable[[], Readings]) -> list[Comparison]:
    """One scrape between two readings, device by device and figure by figure."""
    before, text, after = smi(), scrape(), smi()
    exported = dict(_exported(text))
    ids = sorted({*before, *after, *(gpu_id for gpu_id, _ in exported)})
    return [
        Comparison(
            gpu_id,
            metric,
            exported.get((gpu_id, metric)),
            before.get(gpu_id, {}).get(metric),
            after.get(gpu_id, {}).get(metric),
        )
        for gpu_id in ids
        for metric in FIELDS
    ]


def _exported(text: str) -> Iterator[tuple[tuple[str, str], float]]:
    for family in text_string_to_metric_families(text):
        for sample in family.samples if family.name in FIELDS else ():
            yield (sample.labels["gpu_id"], sample.name), sample.value
