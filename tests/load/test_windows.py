from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest

from harness.latencies import RELATIVE_ERROR, Latencies
from harness.load.windows import TIMEOUT, TOO_MANY, Windows


def windows() -> Windows:
    return Windows(begin_unix_s=1000.0, width_s=0.5, rate=20)


def parsed(lines: Iterable[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines]


def p100(buckets: dict[str, int]) -> float | None:
    return Latencies.from_json(buckets).quantile(1)


def test_a_window_is_given_up_once_it_is_over_and_only_once() -> None:
    load = windows()
    assert parsed(load.close_until(0.49, in_flight=0)) == []
    (only,) = parsed(load.close_until(0.5, in_flight=3))
    assert (only["from_unix_s"], only["to_unix_s"]) == (1000.0, 1000.5)
    assert (only["in_flight"], only["rate_planned"]) == (3, 20)
    assert parsed(load.close_until(0.5, in_flight=3)) == []


def test_windows_follow_each_other_without_a_hole_also_where_nothing_happened() -> None:
    load = windows()
    load.planned(1.6)
    lines = parsed(load.close_until(2.0, in_flight=0))
    assert [line["from_unix_s"] for line in lines] == [1000.0, 1000.5, 1001.0, 1001.5]
    assert [line["planned"] for line in lines] == [0, 0, 0, 1]


def test_a_request_counts_where_it_was_due_where_it_began_and_where_it_ended() -> None:
    load = windows()
    load.planned(0.4)
    load.begun(0.6, lag_s=0.2)
    load.ended(1.2, latency_s=0.8, reason=None)
    first, second, third = parsed(load.close_until(1.5, in_flight=0))
    assert [line["planned"] for line in (first, second, third)] == [1, 0, 0]
    assert [line["lag_p99_s"] for line in (first, second, third)] == [None, 0.2, None]
    assert [line["requests"] for line in (first, second, third)] == [0, 0, 1]
    assert p100(third["latency_buckets"]) == pytest.approx(0.8, rel=RELATIVE_ERROR)


def test_the_boundary_belongs_to_the_later_window() -> None:
    load = windows()
    load.ended(0.5, latency_s=0.1, reason=None)
    assert [line["requests"] for line in parsed(load.close_until(1.0, in_flight=0))] == [0, 1]


def test_a_time_out_counts_among_the_waits_and_a_quick_error_does_not() -> None:
    load = windows()
    load.ended(0.1, latency_s=0.05, reason=None)
    load.ended(0.2, latency_s=10.0, reason=TIMEOUT)
    load.ended(0.3, latency_s=0.001, reason="refused")
    (line,) = parsed(load.close_until(0.5, in_flight=0))
    assert (line["requests"], line["errors"], line["reasons"]) == (3, 2, {"refused": 1, "timeout": 1})
    assert Latencies.from_json(line["latency_buckets"]).count == 2
    assert p100(line["latency_buckets"]) == pytest.approx(10, rel=RELATIVE_ERROR)
    assert p100(line["error_latency_buckets"]) == pytest.approx(0.001, rel=RELATIVE_ERROR)


def test_an_arrival_that_was_refused_is_an_error_without_a_latency() -> None:
    load = windows()
    load.ended(0.1, latency_s=None, reason=TOO_MANY)
    (line,) = parsed(load.close_until(0.5, in_flight=9))
    assert (line["requests"], line["errors"], line["reasons"]) == (1, 1, {"max_in_flight": 1})
    assert line["latency_buckets"] == line["error_latency_buckets"] == {}


def test_what_comes_after_its_window_was_given_up_is_not_lost() -> None:
    load = windows()
    list(load.close_until(1.0, in_flight=0))
    load.ended(0.7, latency_s=0.1, reason=None)
    (line,) = parsed(load.close_until(1.5, in_flight=0))
    assert line["requests"] == 1


def test_the_last_window_is_short_and_holds_what_never_ended() -> None:
    load = windows()
    load.planned(0.1)
    load.planned(0.2)
    load.ended(0.3, latency_s=0.1, reason=None)
    first, last = parsed(load.finish(0.75, waiting_s=[0.65]))
    assert (first["requests"], first["unfinished"]) == (1, 0)
    assert (last["to_unix_s"], last["requests"], last["errors"], last["unfinished"]) == (1000.75, 0, 0, 1)
    assert p100(last["latency_buckets"]) == pytest.approx(0.65, rel=RELATIVE_ERROR)


def test_the_lag_is_the_largest_but_for_one_in_a_hundred() -> None:
    load = windows()
    for number in range(100):
        load.begun(0.1, lag_s=number / 1000)
    (line,) = parsed(load.close_until(0.5, in_flight=0))
    assert line["lag_p99_s"] == 0.098


def test_a_worker_is_named_in_its_windows_and_a_single_process_is_not() -> None:
    one = Windows(begin_unix_s=1000.0, width_s=0.5, rate=10, worker=0)
    (line,) = parsed(one.close_until(0.5, in_flight=0))
    assert (line["worker"], line["rate_planned"]) == (0, 10)
    (alone,) = parsed(windows().close_until(0.5, in_flight=0))
    assert "worker" not in alone
