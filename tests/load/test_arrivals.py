from __future__ import annotations

import statistics
from itertools import islice, pairwise

import pytest

from harness.load.arrivals import planned_offsets, prompts


def take(count: int, *, rate: float = 50, arrivals: str = "poisson", seed: int = 3) -> list[float]:
    return list(islice(planned_offsets(rate=rate, arrivals=arrivals, seed=seed), count))


def test_uniform_arrivals_keep_their_distance_without_drifting() -> None:
    offsets = take(10_001, rate=7, arrivals="uniform")
    assert offsets[0] == 0
    assert offsets[10_000] == 10_000 / 7


def test_poisson_arrivals_come_at_the_rate_and_are_as_irregular_as_chance() -> None:
    gaps = [later - earlier for earlier, later in pairwise(take(20_000))]
    assert statistics.mean(gaps) == pytest.approx(1 / 50, rel=0.03)
    assert statistics.stdev(gaps) == pytest.approx(1 / 50, rel=0.05)  # an exponential's deviation is its mean


def test_uniform_arrivals_are_not_irregular() -> None:
    gaps = [later - earlier for earlier, later in pairwise(take(1_000, arrivals="uniform"))]
    assert statistics.stdev(gaps) < 1e-6


@pytest.mark.parametrize("arrivals", ["poisson", "uniform"])
def test_arrivals_ascend(arrivals: str) -> None:
    offsets = take(1_000, arrivals=arrivals)
    assert offsets == sorted(offsets)
    assert offsets[0] >= 0


def test_a_seed_repeats_arrivals_and_prompts_and_another_seed_does_not() -> None:
    assert take(20) == take(20)
    assert take(20) != take(20, seed=4)
    assert list(islice(prompts(seed=3), 20)) == list(islice(prompts(seed=3), 20))
    assert list(islice(prompts(seed=3), 20)) != list(islice(prompts(seed=4), 20))


def test_prompts_vary_and_none_is_empty() -> None:
    asked = list(islice(prompts(seed=3), 100))
    assert len(set(asked)) == 100
    assert len({len(prompt) for prompt in asked}) > 10
    assert all(asked)
