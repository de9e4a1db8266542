"""GPU metrics for Prometheus, and a sampler for whoever wants the figures in hand, all through pynvml."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from harness import gpu
from harness.gpu.readout import Readout, read
from harness.gpu.xids import XidWatch

# Counted from zero for every device, so that the first error of a kind already is an increase: a counter that
# appears with 1 has not increased as far as PromQL can see. Codes that point at hardware, memory, link,
# driver or firmware, from NVIDIA's XID catalogue; any other code appears with its first error.
KNOWN_XIDS = (13, 31, 43, 45, 48, 61, 62, 63, 64, 69, 74, 79, 92, 94, 95, 119, 120)

_GAUGES = (
    ("gpu_utilization_percent", "Share of time in which work ran on the device.", "utilization_percent"),
    (
        "gpu_memory_utilization_percent",
        "Share of time in which the device's memory was read or written.",
        "memory_utilization_percent",
    ),
    ("gpu_memory_used_bytes", "The device's memory in use, by all processes.", "memory_used_bytes"),
    ("gpu_memory_total_bytes", "The device's memory.", "memory_total_bytes"),
    ("gpu_temperature_celsius", "Core temperature; absent when it cannot be read.", "temperature_celsius"),
    ("gpu_power_watts", "Power drawn; absent when it cannot be read.", "power_watts"),
)


class GpuCollector(Collector):
    """The ``gpu_*`` metrics of all devices, read anew at each scrape.

    A lost device has ``gpu_nvml_up`` 0 and no readings. A figure NVML cannot read is absent, never 0. When NVML as a
    whole is lost, every device is down, and each scrape tries to initialise it again. XIDs are counted between
    ``start`` and ``stop``, from NVML's events; the counts stay while a device is lost, since they tell why.

    >>> registry = CollectorRegistry()
    >>> with GpuCollector() as collector:
    ...     registry.register(collector)
    ...     start_http_server(9400, registry=registry)
    """

    def __init__(self) -> None:
        """Raises GpuUnavailable when there is no GPU."""
        self.connection = gpu.connect()
        self._lock = threading.Lock()
        devices = range(self.connection.device_count)
        self._xids = Counter({(index, code): 0 for index in devices for code in KNOWN_XIDS})
        self._watch = XidWatch(self._count_xid)

    def start(self) -> None:
        """Begin to count XIDs, if NVML can tell them."""
        self._watch.start()
        self._watch.wait_until_watching(timeout_s=1.0)

    def stop(self) -> None:
        """End the counting."""
        self._watch.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def collect(self) -> Iterator[Metric]:
        """The metric families, by the name, in a fixed order."""
        with self._lock:  # scrapes may overlap; two must not initialise NVML at once
            readouts = dict(enumerate(_read_all(self.connection.device_count)))
            xids = dict(self._xids)
        up = GaugeMetricFamily("gpu_nvml_up", "Whether NVML can read the device.", labels=["gpu_id"])
        for index, readout in readouts.items():
            up.add_metric([str(index)], float(readout is not None))
        readable = {str(index): readout for index, readout in readouts.items() if readout is not None}
        yield up
        for name, text, attribute in _GAUGES:
            gauge = GaugeMetricFamily(name, text, labels=["gpu_id"])
            for gpu_id, readout in readable.items():
                value = getattr(readout, attribute)
                if value is not None:
                    gauge.add_metric([gpu_id], value)
            yield gauge
        yield _throttle_reasons(readable)
        yield _xid_errors(xids)

    def _count_xid(self, index: int, code: int) -> None:
        with self._lock:
            self._xids[index, code] += 1


@dataclass(frozen=True, slots=True)
class GpuSample:
    """One device at one instant; a figure is None where it could not be read, all when the device is lost."""

    gpu_id: str
    at_unix_s: float
    utilization_percent: int | None
    memory_utilization_percent: int | None
    memory_used_bytes: int | None
    memory_free_bytes: int | None
    temperature_celsius: int | None
    power_watts: float | None


class GpuSampler:
    """Samples every device at an interval, in a thread of its own, and keeps the newest samples.

    >>> with GpuSampler(interval_s=1.0) as sampler:
    ...     train()
    >>> max(sample.memory_used_bytes or 0 for sample in sampler.samples())
    """

    def __init__(self, *, interval_s: float = 1.0, max_samples: int = 3600) -> None:
        """``max_samples`` counts over all devices. Raises GpuUnavailable when there is no GPU."""
        if interval_s <= 0 or max_samples < 1:
            raise ValueError(f"interval_s {interval_s} and max_samples {max_samples} must be positive")
        self._device_count = gpu.connect().device_count
        self._interval_s = interval_s
        self._samples: deque[GpuSample] = deque(maxlen=max_samples)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gpu-sampler", daemon=True)

    def start(self) -> None:
        """Take a sample now and then one at every interval."""
        self._thread.start()

    def stop(self) -> None:
        """End the sampling; the samples stay."""
        self._stopping.set()
        self._thread.join()

    def samples(self) -> tuple[GpuSample, ...]:
        """The samples kept, oldest first, devices in order."""
        return tuple(self._samples.copy())

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self) -> None:
        due_s = time.monotonic()
        while not self._stopping.wait(max(0.0, due_s - time.monotonic())):
            for index, readout in enumerate(_read_all(self._device_count)):
                self._samples.append(_sample(index, readout or Readout()))
            due_s = max(due_s + self._interval_s, time.monotonic())


def _read_all(device_count: int) -> list[Readout | None]:
    """Each device's figures, None for a lost one; a library that was lost is initialised again first."""
    try:
        return _read_each(device_count)
    except gpu.GpuUnavailable:
        with suppress(gpu.GpuUnavailable):
            gpu.connect()
            return _read_each(device_count)
        return [None] * device_count


def _read_each(device_count: int) -> list[Readout | None]:
    readouts: list[Readout | None] = []
    for index in range(device_count):
        try:
            readouts.append(read(index))
        except gpu.GpuLostError:
            readouts.append(None)
    return readouts


def _sample(index: int, readout: Readout) -> GpuSample:
    return GpuSample(
        gpu_id=str(index),
        at_unix_s=time.time(),
        utilization_percent=readout.utilization_percent,
        memory_utilization_percent=readout.memory_utilization_percent,
        memory_used_bytes=readout.memory_used_bytes,
        memory_free_bytes=readout.memory_free_bytes,
        temperature_celsius=readout.temperature_celsius,
        power_watts=readout.power_watts,
    )


def _throttle_reasons(readable: dict[str, Readout]) -> Metric:
    family = GaugeMetricFamily(
        "gpu_clock_throttle_reason", "Whether this holds the clocks down.", labels=["gpu_id", "reason"]
    )
    for gpu_id, readout in readable.items():
        for reason, holds in (readout.throttle_reasons or {}).items():
            family.add_metric([gpu_id, reason], float(holds))
    return family


def _xid_errors(counts: dict[tuple[int, int], int]) -> Metric:
    family = CounterMetricFamily("gpu_xid_errors", "XID errors, repeats included.", labels=["gpu_id", "xid"])
    for (index, code), count in sorted(counts.items()):
        family.add_metric([str(index), str(code)], count)
    return family
