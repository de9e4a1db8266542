from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.latencies import RELATIVE_ERROR, SHORTEST_S, Latencies, bucket_of

seconds = st.floats(min_value=SHORTEST_S, max_value=1e5)
samples = st.lists(seconds, max_size=60)


def nearest_rank(values: list[float], q: float) -> float:
    """The definition, counted out: the smallest value with at least q of all values at or below it."""
    ordered = sorted(values)
    return next(value for rank, value in enumerate(ordered, 1) if rank >= q * len(ordered) - 1e-9)


@given(st.lists(seconds, min_size=1, max_size=60), st.floats(min_value=0, max_value=1))
def test_a_quantile_is_within_the_stated_error_of_the_sample_it_stands_for(values: list[float], q: float) -> None:
    truth = nearest_rank(values, q)
    assert Latencies.from_samples(values).quantile(q) == pytest.approx(truth, rel=RELATIVE_ERROR * (1 + 1e-6))


def test_the_stated_error_is_reached_so_that_it_is_not_stated_too_wide() -> None:
    across_a_bucket = [1 + number / 5000 for number in range(300)]
    worst = max(abs(Latencies.from_samples([v]).quantile(0.5) / v - 1) for v in across_a_bucket)
    assert worst > RELATIVE_ERROR * 0.98


@given(samples, samples, samples)
def test_merging_is_associative_commutative_and_the_same_as_counting_together(
    a: list[float], b: list[float], c: list[float]
) -> None:
    one, two, three = map(Latencies.from_samples, (a, b, c))
    together = Latencies.from_samples(a + b + c)
    assert one.merge(two).merge(three) == one.merge(two.merge(three)) == three.merge(one, two) == together


def test_merging_leaves_its_parts_as_they_were() -> None:
    one = Latencies.from_samples([0.1])
    one.merge(Latencies.from_samples([0.1, 2.0]))
    one.add(3.0)
    assert one == Latencies.from_samples([0.1])


def test_adding_one_by_one_is_counting_together() -> None:
    assert Latencies().add(0.2).add(0.2).add(5) == Latencies.from_samples([5, 0.2, 0.2])


def test_no_request_has_no_quantile_and_one_request_has_every_quantile() -> None:
    assert Latencies().quantile(0.95) is None
    assert Latencies().count == 0
    one = Latencies.from_samples([0.25])
    assert one.quantile(0) == one.quantile(0.5) == one.quantile(1) == pytest.approx(0.25, rel=RELATIVE_ERROR)


@pytest.mark.parametrize(
    ("slow", "expected"), [(5, 1.0), (6, 9.0)], ids=["exactly five in a hundred", "one more than that"]
)
def test_p95_leaves_out_exactly_five_of_a_hundred(slow: int, expected: float) -> None:
    p95 = Latencies.from_samples([1.0] * (100 - slow) + [9.0] * slow).quantile(0.95)
    assert p95 == pytest.approx(expected, rel=RELATIVE_ERROR)


def test_a_share_that_rounds_a_hair_too_high_takes_no_further_sample() -> None:
    assert 0.07 * 100 > 7  # in floating point
    p7 = Latencies.from_samples([1.0] * 7 + [9.0] * 93).quantile(0.07)
    assert p7 == pytest.approx(1.0, rel=RELATIVE_ERROR)


def test_a_failed_majority_moves_the_median() -> None:
    fast, timed_out = [0.1] * 49, [10.0] * 51
    assert Latencies.from_samples(fast + timed_out).quantile(0.5) == pytest.approx(10, rel=RELATIVE_ERROR)
    assert Latencies.from_samples(fast).quantile(0.5) == pytest.approx(0.1, rel=RELATIVE_ERROR)


@given(samples)
def test_json_gives_back_what_it_was_given(values: list[float]) -> None:
    latencies = Latencies.from_samples(values)
    assert Latencies.from_json(json.loads(json.dumps(latencies.to_json()))) == latencies
    assert latencies.count == len(values)


@pytest.mark.parametrize(
    "raw", [{"x": 1}, {"1.5": 1}, {"1": 0}, {"1": -2}, {"1": 1.5}, {"1": True}, {"1": "3"}], ids=str
)
def test_json_that_is_no_histogram_is_refused(raw: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="latency bucket"):
        Latencies.from_json(raw)


@pytest.mark.parametrize("latency_s", [-0.001, math.nan, math.inf])
def test_what_nobody_can_have_waited_is_refused(latency_s: float) -> None:
    with pytest.raises(ValueError, match="a latency cannot be"):
        bucket_of(latency_s)


def test_no_wait_at_all_counts_as_the_shortest() -> None:
    assert bucket_of(0.0) == bucket_of(SHORTEST_S)
    assert bucket_of(SHORTEST_S * 2) > bucket_of(SHORTEST_S)


@pytest.mark.parametrize("q", [-0.01, 1.01])
def test_a_quantile_outside_0_to_1_is_refused(q: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        Latencies.from_samples([1.0]).quantile(q)
