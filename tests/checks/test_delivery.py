"""Notifications: at the receiver the labels route to, in time, and once more when it is over."""

from __future__ import annotations

import pytest

from harness.model import Verdict
from harness.spec import Matcher, Receiver
from tests.checks.timelines import HOT, Timeline, expects_hot, experiment, judged, passing, route, spec

PASS, UNKNOWN, FAIL = Verdict.PASS, Verdict.UNKNOWN, Verdict.FAIL
NOTIFIED, RESOLUTION = "alert Hot: notified", "alert Hot: resolution notified"


def notified_at(at_s: float) -> Timeline:
    return passing().without_one("notice", status="firing", labels=HOT).notice(at_s, "firing")


def resolution_at(at_s: float) -> Timeline:
    return passing().without_one("notice", status="resolved", labels=HOT).notice(at_s, "resolved")


@pytest.mark.parametrize(("after_s", "verdict"), [(0.0, PASS), (1.0, PASS), (1.001, FAIL)])
def test_a_notice_exactly_at_its_bound_is_in_time(after_s: float, verdict: Verdict) -> None:
    result = judged(notified_at(31.0 + after_s)).of(NOTIFIED)
    assert (result.verdict, result.limit) == (verdict, 1.0)


def test_a_notice_from_before_the_firing_does_not_count() -> None:
    assert judged(notified_at(30.0)).verdict(NOTIFIED) is FAIL


@pytest.mark.parametrize(("within_s", "verdict"), [(11.0, PASS), (10.9, FAIL), (3600.0, PASS)])
def test_an_experiment_tightens_the_bound_and_never_loosens_it(within_s: float, verdict: Verdict) -> None:
    """Pending at 21 s, at the receiver at 32 s."""
    result = judged(passing(), run_experiment=experiment(expects_hot(bound_s=within_s))).of(NOTIFIED)
    assert result.verdict is verdict
    assert result.limit is not None
    assert result.limit <= 1.0


@pytest.mark.parametrize(("labels", "limit"), [({"gpu_id": "1"}, 6.0), ({"alertname": "Cold"}, 1.0)])
def test_an_alert_that_joins_a_group_may_take_the_groups_interval(labels: dict[str, str], limit: float) -> None:
    other = {**HOT, **labels}
    joined = passing().rule(23.0, "firing", other).rule(26.0, "inactive", other)
    results = [each for each in judged(joined).all if each.check == NOTIFIED and each.measured == 1.0]
    assert [each.limit for each in results] == [limit]


def test_a_notice_at_another_receiver_fails_and_is_named() -> None:
    wrong = passing().without_one("notice", status="firing", labels=HOT).notice(32.0, "firing", receiver="chat")
    result = judged(wrong).of(NOTIFIED)
    assert (result.verdict, "it reached chat" in result.summary) == (FAIL, True)


def test_the_receiver_that_the_experiment_names_must_be_where_the_labels_lead() -> None:
    named = experiment(expects_hot(receiver="chat"))
    result = judged(passing(), run_experiment=named).of(NOTIFIED)
    assert (result.verdict, "route to pager, not to chat" in result.summary) == (FAIL, True)
    assert judged(passing(), run_experiment=experiment(expects_hot(receiver="pager"))).merged is PASS


def test_an_operators_full_receiver_name_is_known_by_its_last_part() -> None:
    full = spec(routes=route("monitoring/routes/pager"))
    moved = passing().without_one("notice", labels=HOT)
    moved.notice(32.0, "firing", receiver="monitoring/routes/pager")
    moved.notice(42.0, "resolved", receiver="monitoring/routes/pager")
    named = experiment(expects_hot(receiver="pager"))
    assert judged(moved, full, named).verdict(NOTIFIED) is PASS
    assert judged(moved, full, experiment(expects_hot(receiver="ager"))).verdict(NOTIFIED) is FAIL


def test_an_alert_that_routes_to_two_receivers_must_reach_both() -> None:
    critical = Matcher("severity", "=", "critical")
    tree = route("nobody", routes=[route("pager", critical, continues=True), route("chat", critical)])
    results = judged(passing(), spec(routes=tree))
    assert [each.verdict for each in results.all if each.check == NOTIFIED] == [PASS, FAIL]
    both = passing().notice(32.0, "firing", receiver="chat").notice(42.0, "resolved", receiver="chat")
    assert {each.verdict for each in judged(both, spec(routes=tree)).all if "Hot" in each.check} == {PASS}


def test_a_missing_notice_fails() -> None:
    assert judged(passing().without_one("notice", status="firing", labels=HOT)).verdict(NOTIFIED) is FAIL


def test_a_missing_resolution_fails() -> None:
    assert judged(passing().without_one("notice", status="resolved", labels=HOT)).verdict(RESOLUTION) is FAIL


@pytest.mark.parametrize(("status", "check"), [("firing", NOTIFIED), ("resolved", RESOLUTION)])
def test_a_notice_missing_while_the_receiver_could_not_be_read_is_unknown(status: str, check: str) -> None:
    missing = passing().without_one("notice", status=status, labels=HOT)
    missing.add(45.0, "gap", "receiver", from_s=30.0, to_s=45.0, error="refused")
    assert judged(missing).verdict(check) is UNKNOWN


@pytest.mark.parametrize(("status", "check"), [("firing", NOTIFIED), ("resolved", RESOLUTION)])
@pytest.mark.parametrize("arrived_s", ["NaN", None])
def test_a_notice_without_a_time_is_unknown(status: str, check: str, arrived_s: object) -> None:
    timeless = passing().without_one("notice", status=status, labels=HOT)
    timeless.add(45.0, "notice", "pager", labels=dict(HOT), alertname="Hot", status=status, arrived_s=arrived_s)
    assert judged(timeless).verdict(check) is UNKNOWN


def test_a_notice_of_another_instance_does_not_count() -> None:
    other = {**HOT, "gpu_id": "1"}
    swapped = passing().without_one("notice", status="firing", labels=HOT).notice(32.0, "firing", other)
    assert judged(swapped).verdict(NOTIFIED) is FAIL


@pytest.mark.parametrize(("after_s", "verdict"), [(6.0, PASS), (6.001, FAIL)])
def test_a_resolution_exactly_at_the_groups_interval_is_in_time(after_s: float, verdict: Verdict) -> None:
    assert judged(resolution_at(41.0 + after_s)).verdict(RESOLUTION) is verdict


def test_a_receiver_that_asks_for_no_resolutions_fails() -> None:
    silent = spec(receivers=[Receiver("pager", False, ("webhook",)), Receiver("heartbeat", True, ("webhook",))])
    result = judged(passing(), silent).of(RESOLUTION)
    assert (result.verdict, "send_resolved" in result.summary) == (FAIL, True)
