"""Replicas of an Alertmanager that make each other forget an alert, and what is said of the end nobody is told of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.checks.forgetting import forgotten_by, is_remembered
from harness.model import Event, Verdict
from harness.spec import Peers
from tests.checks.timelines import HOT, Timeline, judged, passing, spec

WARM = {**HOT, "gpu_id": "1"}
WITHIN_S = 2.0


def delivery(
    timeline: Timeline, arrived_s: float, *alerts: tuple[str, float, dict[str, Any] | Any], receiver: str = "pager"
) -> Timeline:
    """One notification of the group: (status, since when, labels) of each alert in it."""
    for status, starts_at_s, labels in alerts:
        data = {"labels": dict(labels), "alertname": labels["alertname"], "starts_at_s": starts_at_s}
        timeline.add(
            arrived_s + 0.1, "notice", receiver, status=status, arrived_s=arrived_s, group_key="{}:{Hot}", **data
        )
    return timeline


def told(*further: tuple[float, tuple[str, float, Any]], before: bool = True) -> tuple[Event, ...]:
    """Hot of GPU 0 is told at 32 s, that of GPU 1 was over before, and then what is given came."""
    timeline = Timeline()
    if before:
        delivery(timeline, 20.0, ("firing", 19.0, WARM))
        delivery(timeline, 25.0, ("resolved", 19.0, WARM))
    delivery(timeline, 32.0, ("resolved", 19.0, WARM), ("firing", 31.0, HOT))
    for arrived_s, alert in further:
        delivery(timeline, arrived_s, alert)
    return timeline.events()


def remembered(events: tuple[Event, ...], now_s: float) -> bool:
    return is_remembered(events, HOT, since_s=30.0, now_s=now_s, within_s=WITHIN_S)


WITHOUT_IT = (32.5, ("resolved", 19.0, WARM))
OF_BEFORE = (32.5, ("resolved", 11.0, HOT))


@pytest.mark.parametrize("overwriting", [WITHOUT_IT, OF_BEFORE], ids=["another alert's end", "its own end of before"])
def test_a_notification_that_knows_nothing_of_it_makes_it_forgotten(overwriting: Any) -> None:
    events = told(overwriting)
    by = forgotten_by(
        events, next(e for e in events if e.data["status"] == "firing" and e.data["labels"] == HOT), within_s=WITHIN_S
    )
    assert by is not None
    assert by.data["arrived_s"] == 32.5
    assert not remembered(events, 100.0)


@pytest.mark.parametrize(
    "further",
    [
        [],
        [(32.5, ("firing", 31.0, HOT))],
        [(32.5, ("resolved", 31.0, HOT))],
        [(32.5, ("resolved", 31.0, HOT)), (33.0, ("resolved", 19.0, WARM))],
        [(34.5, ("resolved", 19.0, WARM))],
        [WITHOUT_IT, (37.0, ("firing", 31.0, HOT))],
    ],
    ids=["none", "told twice", "over by then", "over before another's end", "later than any waits", "told again"],
)
def test_other_notifications_do_not(further: Any) -> None:
    assert remembered(told(*further), 100.0)


def test_until_the_last_of_them_has_had_its_turn_nobody_knows() -> None:
    assert not remembered(told(), 33.9)
    assert remembered(told(), 34.1)
    # Told again and again, by a short repeat_interval, it is no longer open: who had not heard of it has spoken.
    assert remembered(told((33.0, ("firing", 31.0, HOT)), (34.0, ("firing", 31.0, HOT))), 34.1)


def test_each_time_it_fires_is_a_matter_of_its_own() -> None:
    again = told((36.0, ("resolved", 31.0, HOT)), (41.0, ("firing", 40.0, HOT)))
    assert not remembered(again, 42.9)
    assert remembered(again, 43.1)


def test_a_group_that_was_new_needs_no_waiting() -> None:
    assert remembered(told(before=False), 32.0)
    assert not remembered(told(WITHOUT_IT, before=False), 32.0)


def test_what_was_not_told_since_is_nobodys_to_remember() -> None:
    assert is_remembered(told(), HOT, since_s=33.0, now_s=33.0, within_s=WITHIN_S)
    assert is_remembered(told(), {**HOT, "gpu_id": "2"}, since_s=0.0, now_s=32.0, within_s=WITHIN_S)


def test_other_groups_and_receivers_do_not_count() -> None:
    elsewhere = Timeline()
    for event in told():
        elsewhere.add(event.t_s, event.kind, event.name, **event.data)
    delivery(elsewhere, 32.5, ("resolved", 19.0, WARM), receiver="chat")
    assert remembered(elsewhere.events(), 100.0)
    other = [replace(event, data={**event.data, "group_key": "{}:{Cold}"}) for event in told(WITHOUT_IT)[-1:]]
    assert remembered((*told(), *other), 100.0)


PEERS = Peers("monitoring", "alertmanager-main", 3, 15.0)


def unresolved(timeline: Timeline) -> Timeline:
    return timeline.without_one("notice", status="resolved", labels=dict(HOT))


def test_the_end_that_nobody_was_told_of_says_who_forgot_it() -> None:
    timeline = unresolved(passing()).notice(33.25, "resolved", WARM)
    result = judged(timeline, replace(spec(), peers=PEERS)).of("alert Hot: resolution notified")
    assert result.verdict is Verdict.FAIL
    assert "1.25 s after it was told, a replica of alertmanager-main" in result.summary
    assert len(result.evidence) == 3


def test_without_such_a_word_or_without_replicas_nobody_is_accused() -> None:
    for timeline, peers in (
        (unresolved(passing()), PEERS),
        (unresolved(passing()).notice(33.25, "resolved", WARM), None),
    ):
        result = judged(timeline, replace(spec(), peers=peers)).of("alert Hot: resolution notified")
        assert (result.verdict, result.summary) == (Verdict.FAIL, "nothing arrived at pager")
