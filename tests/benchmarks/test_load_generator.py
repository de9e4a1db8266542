"""The load generator's p95 against a queue whose waiting times are known."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.load_generator import P95_ERROR, STALL_S, stalled_p95_s, true_p95_s


def test_the_true_p95_is_that_of_the_planned_arrivals() -> None:
    begin, stall = 1000.0, (1004.0, 1007.0)
    # Of 12 s of arrivals a quarter fall into the stall, evenly: those of its first 0.6 s are the slowest twentieth.
    assert true_p95_s(begin, *stall) == pytest.approx(STALL_S - 0.6, abs=0.2)
    assert true_p95_s(begin, 2000.0, 2003.0) < 0.1, "a stall that nobody meets is not felt"


@pytest.mark.alone
@pytest.mark.e2e
def test_a_stall_shows_in_p95_as_long_as_it_was(tmp_path: Path) -> None:
    measured_s, true_s = stalled_p95_s(tmp_path)
    assert true_s > 2
    assert measured_s == pytest.approx(true_s, rel=P95_ERROR)
