"""Whether people were told of an alert: of its firing, and of its end."""

from __future__ import annotations

import pytest

from harness.checks.window import alert_histories
from harness.run.awaited import notified
from tests.checks.timelines import HOT, WATCHDOG, Timeline


def told(timeline: Timeline, status: str, *, muted: bool = False) -> bool:
    events = timeline.events()
    return notified(alert_histories(events), events, "Hot", status, muted=muted)


def lived(*states: tuple[float, str]) -> Timeline:
    """Hot with these states; another alert fires beside it and is told."""
    timeline = Timeline().rule(1.0, "firing", WATCHDOG).notice(2.0, "firing", WATCHDOG, "heartbeat")
    for at_s, state in states:
        timeline.rule(at_s, state)
    return timeline


ONCE = ((21.0, "pending"), (31.0, "firing"), (41.0, "inactive"))


def test_it_is_told_that_it_fires_once_it_does_and_a_notice_came() -> None:
    assert not told(lived(), "firing")
    assert not told(lived(*ONCE[:1]).notice(20.0, "firing"), "firing")
    assert not told(lived(*ONCE[:2]), "firing")
    assert not told(lived(*ONCE[:2]).notice(32.0, "resolved"), "firing")
    assert told(lived(*ONCE[:2]).notice(32.0, "firing"), "firing")


def test_its_end_is_told_by_what_came_after_it() -> None:
    assert told(lived(), "resolved")
    assert not told(lived(*ONCE[:2]).notice(42.0, "resolved"), "resolved")
    assert not told(lived(*ONCE), "resolved")
    assert told(lived(*ONCE).notice(42.0, "resolved"), "resolved")


def test_an_end_of_before_that_a_replica_told_late_is_not_its_end() -> None:
    """Seen with three replicas: one tells the end of an earlier time just after another told that it fires again."""
    late = lived(*ONCE).notice(32.5, "resolved")
    assert not told(late, "resolved")
    assert told(late.notice(42.0, "resolved"), "resolved")


def test_what_was_only_pending_since_has_no_end_to_be_told_of() -> None:
    timeline = lived(*ONCE, (50.0, "pending"), (53.0, "inactive")).notice(42.0, "resolved")
    assert told(timeline, "resolved")
    assert not told(lived(*ONCE, (50.0, "pending")).notice(42.0, "resolved"), "resolved")
    assert told(lived((21.0, "pending"), (24.0, "inactive")), "resolved")


def test_each_time_it_fired_has_an_end() -> None:
    twice = lived(*ONCE, (50.0, "firing"), (55.0, "inactive")).notice(42.0, "resolved")
    assert not told(twice, "resolved")
    assert told(twice.notice(56.0, "resolved"), "resolved")


def test_of_several_instances_each_is_told() -> None:
    timeline = lived(*ONCE).notice(42.0, "resolved")
    other = {**HOT, "gpu_id": "1"}
    for at_s, state in ONCE:
        timeline.rule(at_s, state, other)
    assert not told(timeline, "resolved")
    assert told(timeline.notice(42.0, "resolved", other), "resolved")


@pytest.mark.parametrize("status", ["firing", "resolved"])
def test_of_a_muted_one_nobody_is_told(status: str) -> None:
    timeline = lived(*(ONCE if status == "resolved" else ONCE[:2]))
    assert told(timeline, status, muted=True) is (status == "resolved")
