"""How often an alert must come to a state."""

from __future__ import annotations

import pytest

from harness.checks.times import check_times
from harness.checks.window import Window
from harness.model import Event, Expectation, Verdict

EXPECTED = Expectation("times", {"alert": "A", "state": "pending", "times": 2})


def window(*changes: tuple[str, float], gap: bool = False, evaluated: bool = True) -> Window:
    rows = [("rule", name, {"labels": {"alertname": "A"}, "state": name, "at_s": at_s}) for name, at_s in changes]
    rows += [("gap", "prometheus", {"from_s": 1.0, "to_s": 2.0, "error": "away"})] if gap else []
    rows += [("evaluation", "g", {"last_s": 1.0, "interval_s": 0.5, "health": "ok", "error": ""})] if evaluated else []
    events = [Event(seq, 1.0 + seq, 0.0, kind, name, data) for seq, (kind, name, data) in enumerate(rows)]
    return Window(tuple(events), "x", 0.0, 100.0)


TWICE = (("pending", 2.0), ("inactive", 3.0), ("pending", 4.0), ("inactive", 5.0))


def test_exactly_as_often_passes() -> None:
    assert check_times(EXPECTED, window(*TWICE)).verdict is Verdict.PASS


@pytest.mark.parametrize("changes", [TWICE[:2], (*TWICE, ("pending", 6.0)), ()])
def test_fewer_or_more_fail(changes: tuple[tuple[str, float], ...]) -> None:
    assert check_times(EXPECTED, window(*changes)).verdict is Verdict.FAIL


def test_fewer_while_prometheus_was_away_is_unknown() -> None:
    assert check_times(EXPECTED, window(*TWICE[:2], gap=True)).verdict is Verdict.UNKNOWN


def test_fewer_without_any_evaluation_is_unknown() -> None:
    assert check_times(EXPECTED, window(evaluated=False)).verdict is Verdict.UNKNOWN


def test_what_came_before_the_window_does_not_count() -> None:
    assert check_times(EXPECTED, window(("pending", -1.0), *TWICE)).measured == 2


@pytest.mark.parametrize(("labels", "times"), [({}, 2), ({"alertname": "A"}, 2), ({"job": "other"}, 0)])
def test_only_instances_with_the_labels_count(labels: dict[str, str], times: int) -> None:
    chosen = Expectation("times", {**EXPECTED.params, "labels": labels})
    assert check_times(chosen, window(*TWICE)).measured == times


def test_another_alert_does_not_count() -> None:
    other = Expectation("times", {"alert": "B", "state": "pending", "times": 2})
    assert check_times(other, window(*TWICE)).measured == 0
