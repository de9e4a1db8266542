"""Metrics of an inference service, as Prometheus scrapes them.

>>> from prometheus_client import CollectorRegistry
>>> registry = CollectorRegistry()
>>> instruments = InferenceInstruments(registry=registry, models=["demo-lm"])
>>> with instruments.request("demo-lm") as request:
...     request.generated(16)
>>> instruments.counts("demo-lm").successes
1.0
"""

from __future__ import annotations

import collections
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import psutil
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

from harness.system.durations import real_s

DURATION_BUCKETS_S = (0.1, 0.5, 1, 2, 5, 10, 30, 60)
_SUCCESS, _ERROR = "success", "error"
_USAGE_INTERVAL_S = 5.0
# However compressed time is, reading the process's own figures must not become its work.
_USAGE_AT_LEAST_S = 0.25


class Request:
    """One request under way: what its end will be counted as."""

    def __init__(self) -> None:
        self.status = _SUCCESS
        self.tokens = 0
        self.from_cache: bool | None = None

    def generated(self, tokens: int) -> None:
        """Count this many tokens, also when the request fails later."""
        self.tokens += tokens

    def cache_hit(self) -> None:
        """The answer comes from a cache."""
        self.from_cache = True

    def cache_miss(self) -> None:
        """The cache did not have the answer."""
        self.from_cache = False

    def failed(self) -> None:
        """Count the request as an error although no exception leaves the block."""
        self.status = _ERROR


@dataclass(frozen=True, slots=True)
class Counts:
    """What one model was asked so far. ``inferences``: successes that no cache answered.

    ``duration_s``: all requests' durations added up.
    """

    successes: float
    errors: float
    inferences: float
    duration_s: float
    cache_hits: float
    cache_misses: float


class InferenceInstruments:
    """The ``inference_*`` and ``model_*`` metrics of one service; safe for threads and for asyncio.

    Every model served has to be declared before its requests come: its counters then start at 0, so that the
    first error already is an increase and ratios have both sides. Names from outside must be checked before
    they get here, since each becomes a label value. Used as a context manager it samples the process's CPU
    and memory every 5 seconds of spec time.
    """

    def __init__(self, *, registry: CollectorRegistry = REGISTRY, models: Iterable[str] = ()) -> None:
        self._requests = Counter(
            "inference_requests", "Requests, each counted once.", ["model_name", "status"], registry=registry
        )
        self._durations = Histogram(
            "inference_request_duration_seconds",
            "Time from taking a request to its answer.",
            ["model_name"],
            buckets=DURATION_BUCKETS_S,
            registry=registry,
        )
        self._tokens = Counter(
            "inference_tokens_generated", "Tokens the model made.", ["model_name"], registry=registry
        )
        self._active = Gauge("inference_active_connections", "Requests under way.", registry=registry)
        self._hits = Counter("model_cache_hits", "Requests answered from the cache.", ["model_name"], registry=registry)
        self._misses = Counter(
            "model_cache_misses", "Requests the model had to answer.", ["model_name"], registry=registry
        )
        self._accuracy = Gauge("model_accuracy", "Share of probes answered rightly.", ["model_name"], registry=registry)
        self._inferences: collections.Counter[str] = collections.Counter()
        self._lock = threading.Lock()
        self._sampler = UsageSampler(registry)
        for model_name in models:
            self.declare(model_name)

    def declare(self, model_name: str) -> None:
        """Start every counter of this model at 0. Its accuracy stays absent until there is one."""
        for status in (_SUCCESS, _ERROR):
            self._requests.labels(model_name, status)
        for metric in (self._durations, self._tokens, self._hits, self._misses):
            metric.labels(model_name)

    @contextmanager
    def request(self, model_name: str) -> Iterator[Request]:
        """One request, from here to the end of the block: counted once, timed, and active meanwhile.

        It is an error when ``failed`` was called or an exception leaves the block, cancellation included.
        """
        request = Request()
        began_s = time.perf_counter()
        self._active.inc()
        try:
            yield request
        except BaseException:
            request.failed()
            raise
        finally:
            self._active.dec()
            self._end(model_name, request, time.perf_counter() - began_s)

    def accuracy(self, model_name: str, share: float) -> None:
        """Set the share of probes answered rightly. Raises ValueError outside of 0–1."""
        if not 0 <= share <= 1:
            raise ValueError(f"accuracy of {model_name}: got {share}, need a share between 0 and 1")
        self._accuracy.labels(model_name).set(share)

    def counts(self, model_name: str) -> Counts:
        """The counters of one declared model as they stand, for another view of the same figures."""
        label = {"model_name": model_name}
        with self._lock:
            inferences = self._inferences[model_name]
        return Counts(
            inferences=inferences,
            successes=_value(self._requests, "inference_requests_total", {**label, "status": _SUCCESS}),
            errors=_value(self._requests, "inference_requests_total", {**label, "status": _ERROR}),
            duration_s=_value(self._durations, "inference_request_duration_seconds_sum", label),
            cache_hits=_value(self._hits, "model_cache_hits_total", label),
            cache_misses=_value(self._misses, "model_cache_misses_total", label),
        )

    def __enter__(self) -> Self:
        self._sampler.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sampler.stop()

    def _end(self, model_name: str, request: Request, duration_s: float) -> None:
        self._durations.labels(model_name).observe(duration_s)
        self._tokens.labels(model_name).inc(request.tokens)
        if request.from_cache is not None:
            (self._hits if request.from_cache else self._misses).labels(model_name).inc()
        if request.status == _SUCCESS and not request.from_cache:
            with self._lock:
                self._inferences[model_name] += 1
        self._requests.labels(model_name, request.status).inc()


class UsageSampler:
    """CPU and resident memory of this process as gauges, in a thread of its own.

    CPU is in percent of one core over the time since the sample before, so it can pass 100.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._cpu = Gauge("inference_cpu_usage_percent", "CPU time used, in percent of one core.", registry=registry)
        self._memory = Gauge("inference_memory_usage_bytes", "Resident memory.", registry=registry)
        self._process = psutil.Process()
        self._interval_s = real_s(_USAGE_INTERVAL_S, at_least_s=_USAGE_AT_LEAST_S)
        # The first sample covers the process's whole life so far, so that no invented 0 is shown.
        self._sampled_s = time.monotonic() - max(0.0, time.time() - self._process.create_time())
        self._used_s = 0.0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="usage-sampler", daemon=True)
        self.sample()

    def start(self) -> None:
        """Sample at every interval from now on."""
        self._thread.start()

    def stop(self) -> None:
        """End the sampling; the gauges keep their last values."""
        self._stopping.set()
        self._thread.join()

    def sample(self) -> None:
        """Set both gauges now."""
        now_s = time.monotonic()
        times = self._process.cpu_times()
        used_s = times.user + times.system
        if now_s > self._sampled_s:
            self._cpu.set(100 * (used_s - self._used_s) / (now_s - self._sampled_s))
        self._sampled_s, self._used_s = now_s, used_s
        self._memory.set(self._process.memory_info().rss)

    def _run(self) -> None:
        while not self._stopping.wait(self._interval_s):
            self.sample()


def _value(metric: MetricWrapperBase, name: str, labels: dict[str, str]) -> float:
    for family in metric.collect():
        for sample in family.samples:
            if sample.name == name and sample.labels == labels:
                return float(sample.value)
    raise KeyError(f"{name}{labels}: this model was not declared")
