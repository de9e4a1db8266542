"""Profiling: what is recorded of each call, and the statistics."""

from __future__ import annotations

import asyncio
import threading
from collections import deque

import pytest

from harness.system.telemetry.profiling import Profiler, Summary, _percentile, _Series


def test_each_call_is_recorded_and_its_result_is_untouched() -> None:
    profiler = Profiler()

    @profiler.profile
    def double(number: int, *, more: int = 0) -> int:
        """Twice."""
        return 2 * number + more

    assert profiler.statistics() == {}
    assert [double(2), double(3, more=1)] == [4, 7]
    assert (double.__name__, double.__doc__) == ("double", "Twice.")
    (statistics,) = profiler.statistics().values()
    assert statistics.duration_s.count == statistics.memory_change_bytes.count == 2
    assert statistics.errors == 0
    assert 0 < statistics.duration_s.minimum <= statistics.duration_s.average <= statistics.duration_s.maximum < 1


def test_a_call_that_raises_is_recorded_and_still_raises() -> None:
    profiler = Profiler()

    @profiler.profile
    def fail() -> None:
        raise KeyError("k")

    with pytest.raises(KeyError):
        fail()
    (statistics,) = profiler.statistics().values()
    assert (statistics.duration_s.count, statistics.errors) == (1, 1)


def test_an_async_call_is_recorded_until_its_end() -> None:
    profiler = Profiler()

    @profiler.profile
    async def wait(fails: bool) -> str:
        await asyncio.sleep(0.02)
        if fails:
            raise ValueError
        return "done"

    assert asyncio.run(wait(False)) == "done"
    with pytest.raises(ValueError):
        asyncio.run(wait(True))
    (statistics,) = profiler.statistics().values()
    assert (statistics.duration_s.count, statistics.errors) == (2, 1)
    assert statistics.duration_s.minimum >= 0.02


def test_memory_taken_by_a_call_is_its_change() -> None:
    profiler = Profiler()
    kept: list[bytearray] = []

    @profiler.profile
    def take() -> None:
        kept.append(bytearray(b"x" * 50_000_000))

    @profiler.profile
    def rest() -> None:
        pass

    take()
    rest()
    changes = [each.memory_change_bytes.maximum for each in profiler.statistics().values()]
    assert changes[0] > 40_000_000
    assert changes[1] < 1_000_000


def test_calls_of_several_threads_are_all_counted() -> None:
    profiler = Profiler()

    @profiler.profile
    def nothing() -> None:
        pass

    threads = [threading.Thread(target=lambda: [nothing() for _ in range(500)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (statistics,) = profiler.statistics().values()
    assert statistics.duration_s.count == 2000


def test_percentiles_are_of_the_window_and_the_rest_is_of_all_calls() -> None:
    series = _Series(deque(maxlen=100))
    for value in range(1, 1001):
        series.add(float(value))
    assert series.summary() == Summary(count=1000, average=500.5, minimum=1, maximum=1000, p50=950, p95=995, p99=999)
    assert len(series.newest) == 100


@pytest.mark.parametrize(("percent", "expected"), [(50, 1), (95, 2), (99, 2)])
def test_a_percentile_is_a_value_that_occurred(percent: int, expected: float) -> None:
    assert _percentile([1, 2], percent) == expected
    assert _percentile([7], percent) == 7


def test_reset_forgets_the_calls_but_goes_on_recording() -> None:
    profiler = Profiler(window=2)
    nothing = profiler.profile(lambda: None)
    nothing()
    profiler.reset()
    assert profiler.statistics() == {}
    nothing()
    assert len(profiler.statistics()) == 1


def test_a_window_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="window"):
        Profiler(window=0)
