"""What Alertmanagers that no longer notify cost the others: time, and only where one was disturbed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from harness.model import Verdict
from harness.spec import Peers, Spec
from tests.checks.timelines import Timeline, judged, passing, spec

PEERS = Peers("monitoring", "alertmanager-main", 3, 15.0)
PLACE = {"namespace": "monitoring", "workload": "alertmanager-main"}
NOTIFIED, RESOLVED = "alert Hot: notified", "alert Hot: resolution notified"


def with_peers(peers: Peers | None = PEERS) -> Spec:
    return replace(spec(), peers=peers)


def late(status: str, arrived_s: float) -> Timeline:
    """A run in which one of the two notices about Hot comes then; by itself the first is due 1 s after 31 s, the second
    6 s after 41 s."""
    kept = passing().without(
        lambda each: each.kind == "notice" and (each.data["status"], each.name) == (status, "pager")
    )
    return kept.notice(arrived_s, status)


def ended(timeline: Timeline, t_s: float = 25.0) -> Timeline:
    return timeline.add(t_s, "pod", "alertmanager-main-0", status="exited", container="alertmanager", **PLACE)


def aimed(timeline: Timeline, target: str, namespace: str | None = "monitoring", t_s: float = 25.0) -> Timeline:
    return timeline.fault(t_s, "injecting", "pod-hang#2", target=target, namespace=namespace)


@pytest.mark.parametrize(
    "disturb",
    [
        ended,
        lambda timeline: aimed(timeline, "alertmanager-main-2"),
        lambda timeline: aimed(timeline, "alertmanager-main", None),
    ],
    ids=["ended", "a fault at one", "a fault at all"],
)
def test_the_others_may_wait_for_a_replica_that_was_disturbed(disturb: Callable[[Timeline], Timeline]) -> None:
    result = judged(disturb(late("firing", 39.0)), with_peers()).of(NOTIFIED)
    assert (result.verdict, result.limit) == (Verdict.PASS, 31.0)
    result = judged(disturb(late("resolved", 55.0)), with_peers()).of(RESOLVED)
    assert (result.verdict, result.limit) == (Verdict.PASS, 36.0)


@pytest.mark.parametrize(
    ("disturb", "peers"),
    [
        (lambda timeline: timeline, PEERS),
        (ended, None),
        (ended, replace(PEERS, count=1)),
        (lambda timeline: ended(timeline, 33.0), PEERS),
        (lambda timeline: ended(timeline, 11.5), PEERS),
        (lambda timeline: aimed(timeline, "alertmanager-main-3"), PEERS),
        (lambda timeline: aimed(timeline, "alertmanager-main-0", "elsewhere"), PEERS),
    ],
    ids=["none", "alone", "one", "later", "before", "no replica", "another namespace"],
)
def test_nothing_may_be_late_where_none_was(disturb: Callable[[Timeline], Timeline], peers: Peers | None) -> None:
    result = judged(disturb(late("firing", 39.0)), with_peers(peers)).of(NOTIFIED)
    assert (result.verdict, result.limit) == (Verdict.FAIL, 1.0)


def test_the_wait_is_what_they_run_with() -> None:
    timeline = ended(late("firing", 39.0))
    assert judged(timeline, with_peers(), scale=3.0).of(NOTIFIED).limit == pytest.approx(1.0 + 2 * 5.0)
    # However short the stack's durations become, a timeout is a second.
    assert judged(timeline, with_peers(), scale=60.0).of(NOTIFIED).limit == pytest.approx(1.0 + 2 * 1.0)
