"""What lies behind recorded series counts as the alert's own."""

from __future__ import annotations

from typing import Any

import pytest

from harness.stack.recordings import Recording, counts_over_s, incompressible, lookback_s, read_through

RECORDINGS = {
    "job:errors:rate5m": [Recording("rate(errors[5m])", 30.0)],
    "job:errors:max1h": [Recording("max_over_time(job:errors:rate5m[1h])", 60.0)],
    "job:restarts:15m": [Recording("changes(start[15m])", 30.0)],
    "job:age": [Recording("time() - last_success", 30.0)],
    "loop": [Recording("loop offset 1m", 30.0), Recording("x", 30.0)],
}


@pytest.mark.parametrize(
    ("expr", "seconds"),
    [
        ("errors > 1", 0.0),
        ("job:errors:rate5m > 0.05", 330.0),
        ("job:errors:max1h > 0.05", 60.0 + 3600.0 + 30.0 + 300.0),
        ("errors and rate(job:errors:rate5m[10m]) > 0", 600.0 + 330.0),
        ('{__name__="job:errors:rate5m"} > 0', 330.0),
        ("loop", 30.0 + 60.0 + 30.0),
    ],
)
def test_looking_back_goes_on_behind_what_was_recorded(expr: str, seconds: float) -> None:
    assert lookback_s(expr, RECORDINGS) == seconds


def test_what_is_read_through_is_named_once() -> None:
    assert read_through("job:errors:max1h + job:errors:rate5m", RECORDINGS) == (
        "job:errors:max1h + job:errors:rate5m",
        "max_over_time(job:errors:rate5m[1h])",
        "rate(errors[5m])",
    )


@pytest.mark.parametrize(
    ("expr", "seconds"),
    [("job:restarts:15m > 2", 930.0), ("job:errors:rate5m > 0", 0.0), ("changes(x[5m]) > 1", 300.0)],
)
def test_a_count_that_is_recorded_goes_on_as_long(expr: str, seconds: float) -> None:
    assert counts_over_s(expr, RECORDINGS) == seconds


@pytest.mark.parametrize(
    ("expr", "reasons"),
    [
        ("job:age > 600", ("compares job:age with 600",)),
        ("job:age > job:age offset 1h", ()),
        ("job:errors:rate5m > 600", ()),
        ("predict_linear(x[1h], 3600) < 0", ("predicts 3600 s ahead with predict_linear()",)),
    ],
)
def test_a_clock_that_is_recorded_does_not_compress(expr: str, reasons: tuple[str, ...]) -> None:
    assert incompressible(expr, RECORDINGS) == reasons


def test_an_alert_of_a_stack_is_told_what_its_recordings_say(load: Any) -> None:
    def with_recordings(documents: dict[str, Any]) -> None:
        documents["PrometheusRule/rules"]["spec"]["groups"] = [
            {
                "name": "recorded",
                "interval": "1m",
                "rules": [
                    {"record": "job:errors:rate5m", "expr": "rate(errors[5m])"},
                    {"record": "job:age", "expr": "time() - last_success"},
                    {"alert": "Errors", "expr": "job:errors:rate5m > 0.05"},
                    {"alert": "Old", "expr": "job:age > 600"},
                    {"alert": "Alive", "expr": "vector(1)"},
                    {"alert": "Nameless", "expr": 'absent({job="api"})'},
                ],
            }
        ]

    errors, old, alive, nameless = load(with_recordings).spec.alerts
    assert (errors.lookback_s, errors.incompressible) == (360.0, ())
    assert old.incompressible == ("compares job:age with 600",)
    assert [each.is_heartbeat for each in (errors, old, alive, nameless)] == [False, False, True, False]
