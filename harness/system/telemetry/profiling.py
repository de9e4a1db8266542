"""Duration and resident-memory change of each call of the functions one asks about.

>>> profiler = Profiler()
>>> @profiler.profile
... def embed(text: str) -> int:
...     return len(text)
>>> embed("a prompt")
8
>>> profiler.statistics()["embed"].duration_s.count
1
"""

from __future__ import annotations

import functools
import inspect
import math
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar, cast

P = ParamSpec("P")
R = TypeVar("R")

# Percentiles are of the newest calls only, which bounds the memory a function costs: about 64 bytes a call.
WINDOW_CALLS = 4096
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Summary:
    """One figure over a function's calls.

    ``count``, ``average``, ``minimum`` and ``maximum`` are of all calls since the start. The percentiles are of
    the newest ones, at most the profiler's window, by the nearest-rank method: each is a value that occurred.
    """

    count: int
    average: float
    minimum: float
    maximum: float
    p50: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True)
class FunctionStatistics:
    """One function's calls; those that raised are included, and counted in ``errors`` as well.

    ``memory_change_bytes``: the process's resident memory after the call less that before it. Calls that run
    side by side see each other's.
    """

    duration_s: Summary
    memory_change_bytes: Summary
    errors: int


class Profiler:
    """Records calls of the functions decorated with ``profile``. Safe for threads and for asyncio.

    Memory is bounded: each function keeps its newest ``window`` calls, and sums of all of them.
    """

    def __init__(self, *, window: int = WINDOW_CALLS) -> None:
        if window < 1:
            raise ValueError(f"window: got {window}, need 1 or more calls")
        self._window = window
        self._records: dict[str, _Record] = {}
        self._lock = threading.Lock()

    def profile(self, function: Callable[P, R]) -> Callable[P, R]:
        """The same function, with each of its calls recorded; for an ``async def``, until its end.

        A generator function is recorded only until it hands out its generator. The name it is listed under is
        the function's qualified one, preceded by its module where two modules have one of that name.
        """
        record = self._record_of(function)
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def profiled_async(*args: P.args, **kwargs: P.kwargs) -> object:
                with record.call():
                    return await function(*args, **kwargs)

            return cast(Callable[P, R], profiled_async)

        @functools.wraps(function)
        def profiled(*args: P.args, **kwargs: P.kwargs) -> R:
            with record.call():
                return function(*args, **kwargs)

        return profiled

    def statistics(self) -> dict[str, FunctionStatistics]:
        """Statistics by function, of those called at least once, in the order they were decorated."""
        with self._lock:
            records = list(self._records.items())
        found = ((name, record.statistics()) for name, record in records)
        return {name: statistics for name, statistics in found if statistics is not None}

    def reset(self) -> None:
        """Forget all calls recorded so far; the functions stay decorated."""
        with self._lock:
            for record in self._records.values():
                record.reset()

    def _record_of(self, function: Callable[..., object]) -> _Record:
        name = getattr(function, "__qualname__", type(function).__name__).replace("<locals>.", "")
        module = getattr(function, "__module__", "")
        with self._lock:
            known = self._records.get(name)
            if known is not None and known.module != module:
                name = f"{module}.{name}"
            return self._records.setdefault(name, _Record(module, self._window))


_default = Profiler()
profile = _default.profile
statistics = _default.statistics


class _Record:
    """The calls of one function."""

    def __init__(self, module: str, window: int) -> None:
        self.module = module
        self._lock = threading.Lock()
        self._durations = _Series(deque(maxlen=window))
        self._changes = _Series(deque(maxlen=window))
        self._errors = 0

    def reset(self) -> None:
        with self._lock:
            self._durations = _Series(deque(maxlen=self._durations.newest.maxlen))
            self._changes = _Series(deque(maxlen=self._changes.newest.maxlen))
            self._errors = 0

    @contextmanager
    def call(self) -> Iterator[None]:
        before_bytes = _resident_bytes()
        began_s = time.perf_counter()
        raised = True
        try:
            yield
            raised = False
        finally:
            duration_s = time.perf_counter() - began_s
            change_bytes = _resident_bytes() - before_bytes
            with self._lock:
                self._durations.add(duration_s)
                self._changes.add(change_bytes)
                self._errors += raised

    def statistics(self) -> FunctionStatistics | None:
        with self._lock:
            if not self._durations.count:
                return None
            return FunctionStatistics(
                duration_s=self._durations.summary(),
                memory_change_bytes=self._changes.summary(),
                errors=self._errors,
            )


@dataclass(slots=True)
class _Series:
    """Sums of everything added, and the newest values."""

    newest: deque[float]
    count: int = 0
    total: float = 0.0
    minimum: float = field(default=math.inf)
    maximum: float = field(default=-math.inf)

    def add(self, value: float) -> None:
        self.newest.append(value)
        self.count += 1
        self.total += value
        self.minimum = min(self.minimum, value)
        self.maximum = max(self.maximum, value)

    def summary(self) -> Summary:
        ordered = sorted(self.newest)
        return Summary(
            count=self.count,
            average=self.total / self.count,
            minimum=self.minimum,
            maximum=self.maximum,
            p50=_percentile(ordered, 50),
            p95=_percentile(ordered, 95),
            p99=_percentile(ordered, 99),
        )


def _percentile(ordered: Sequence[float], percent: int) -> float:
    return ordered[-(-percent * len(ordered) // 100) - 1]


def _resident_bytes() -> int:
    """Read straight from the kernel (Linux): that is cheap, and right in a child after a fork as well."""
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * _PAGE_BYTES
