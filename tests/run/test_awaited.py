"""Whether people were told of an alert: of its firing, and of its end."""

from __future__ import annotations

from harness.checks.window import alert_histories
from harness.run.awaited import is_over, is_told
from tests.checks.timelines import HOT, WATCHDOG, Timeline

WITHIN_S = 2.0


def told(timeline: Timeline, *, muted: bool = False) -> bool:
    events = timeline.events()
    return is_told(alert_histories(events), events, "Hot", muted=muted)


def over(timeline: Timeline, *, now_s: float = 100.0, muted: bool = False) -> bool:
    events = timeline.events()
    return is_over(alert_histories(events), events, "Hot", now_s=now_s, within_s=WITHIN_S, muted=muted)


def lived(*states: tuple[float, str]) -> Timeline:
    """Hot with these states; another alert fires beside it and is told."""
    timeline = Timeline().rule(1.0, "firing", WATCHDOG).notice(2.0, "firing", WATCHDOG, "heartbeat")
    for at_s, state in states:
        timeline.rule(at_s, state)
    return timeline


ONCE = ((21.0, "pending"), (31.0, "firing"), (41.0, "inactive"))


def test_it_is_told_once_it_fires_and_a_notice_came() -> None:
    assert not told(lived())
    assert not told(lived(*ONCE[:1]).notice(20.0, "firing"))
    assert not told(lived(*ONCE[:2]))
    assert not told(lived(*ONCE[:2]).notice(32.0, "resolved"))
    assert told(lived(*ONCE[:2]).notice(32.0, "firing"))
    assert not told(lived(*ONCE[:2]).notice(32.0, "firing"), muted=True)


def known() -> Timeline:
    """It fired, somebody was told, and it is over."""
    return lived(*ONCE).notice(32.0, "firing")


def test_it_is_over_once_those_who_were_told_of_it_heard_of_its_end() -> None:
    assert over(lived())
    assert not over(lived(*ONCE[:2]).notice(32.0, "firing").notice(33.0, "resolved"))
    assert not over(known())
    assert over(known().notice(42.0, "resolved"))
    assert over(known(), muted=True)


def test_an_end_of_before_that_a_replica_told_late_is_not_its_end() -> None:
    """Seen with three replicas: one tells the end of an earlier time just after another told that it fires again."""
    late = known().notice(32.5, "resolved")
    assert not over(late)
    assert over(late.notice(42.0, "resolved"))


def test_what_was_only_pending_since_has_no_end_to_be_told_of() -> None:
    again = known().notice(42.0, "resolved").rule(50.0, "pending")
    assert not over(again)
    assert over(again.rule(53.0, "inactive"))
    assert over(lived((21.0, "pending"), (24.0, "inactive")))


def test_each_time_it_fired_has_an_end() -> None:
    twice = known().notice(42.0, "resolved").rule(50.0, "firing").rule(55.0, "inactive").notice(51.0, "firing")
    assert not over(twice)
    assert over(twice.notice(56.0, "resolved"))


def test_of_what_was_over_before_anybody_was_told_nobody_is_told_the_end() -> None:
    """An alert that fires for less than its group waits; a word on it may be on its way as long as replicas wait."""
    assert not over(lived(*ONCE), now_s=44.9)
    assert over(lived(*ONCE), now_s=45.1)
    # Of its first time somebody was told, of its second nobody.
    again = known().notice(42.0, "resolved").rule(50.0, "firing").rule(50.5, "inactive")
    assert not over(again, now_s=54.4)
    assert over(again, now_s=54.6)


def test_every_instance_of_it_counts() -> None:
    other = {**HOT, "gpu_id": "1"}
    timeline = known().notice(42.0, "resolved")
    for at_s, state in ONCE:
        timeline.rule(at_s, state, other)
    assert not told(timeline)
    assert told(timeline.notice(32.0, "firing", other))
    assert not over(timeline)
    assert over(timeline.notice(42.0, "resolved", other))
