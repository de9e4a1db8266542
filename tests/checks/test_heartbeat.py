"""A heartbeat that must fall silent while Prometheus is away, and come back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.model import Expectation, Verdict
from harness.spec import Route, Spec
from tests.checks.timelines import EXPERIMENT, WATCHDOG, Results, Timeline, experiment, judged, spec

SILENCE = Expectation("silence", {"alert": "Watchdog", "receiver": "heartbeat"})
POD = "prometheus-0"
# A beat each 5 s up to the fault at 20 s and, until Alertmanager's copy of the alert expires, up to 24 s.
EFFECT_S, UNDONE_S, CLEARED_S = 20.5, 50.0, 51.0


def beating() -> Spec:
    """The Watchdog repeated each 4 s at a group interval of 1 s; Prometheus tells of it each second."""
    known = spec()
    assert known.route is not None
    quick = Route("heartbeat", ("alertname",), 0.0, 1.0, 4.0, (), False, ())
    tree = replace(known.route, routes=tuple(quick if r.receiver == "heartbeat" else r for r in known.route.routes))
    tree = replace(
        tree,
        routes=tuple(replace(r, matchers=known.route.routes[2].matchers) if r is quick else r for r in tree.routes),
    )
    return replace(known, route=tree, resend_delay_s=1.0)


def lost() -> Timeline:
    """Prometheus goes at 20 s; the last beat arrives at 23 s, the next at 55 s, once it is back."""
    timeline = Timeline()
    timeline.add(0.5, "run", "started", prometheus_pod=POD, ready_s=0.5)
    timeline.add(5.0, "phase", "baseline", status="begin").add(11.0, "phase", "baseline", status="end")
    timeline.add(12.0, "phase", EXPERIMENT, status="begin").add(60.0, "phase", EXPERIMENT, status="end")
    timeline.rule(2.0, "firing", WATCHDOG)
    for at_s in (3.0, 8.0, 13.0, 18.0, 23.0, 55.0):
        timeline.notice(at_s, "firing", WATCHDOG, "heartbeat")
    timeline.add(4.0, "target", "pool", instance="a:1", health="up", error="")
    for group in ("gpu", "always"):
        timeline.evaluations(1.0, 20.0, group=group).evaluations(55.0, 60.0, group=group)
    timeline.fault(20.0, "injecting", "pod-down#1", target=POD)
    timeline.fault(20.1, "injected", "pod-down#1", target=POD, undoable=True)
    timeline.fault(EFFECT_S, "effect", "pod-down#1", observed="gone")
    timeline.fault(UNDONE_S, "undone", "pod-down#1", target=POD)
    timeline.fault(CLEARED_S, "cleared", "pod-down#1", observed="runs")
    timeline.add(52.0, "gap", "prometheus", from_s=19.5, to_s=52.0, error="refused")
    return timeline


def results(timeline: Timeline, expectation: Expectation = SILENCE, run_spec: Spec | None = None) -> Results:
    return judged(timeline, run_spec or beating(), experiment(expectation, Expectation("quiet", {})))


def test_a_heartbeat_that_is_missed_and_comes_back_passes() -> None:
    found = results(lost())
    assert [found.verdict(f"heartbeat Watchdog: {stage}") for stage in ("arriving before", "missed", "back")] == [
        Verdict.PASS
    ] * 3
    assert found.merged is Verdict.PASS, [each for each in found.all if each.verdict is not Verdict.PASS]
    # The last beat came at 23 s and the next should have within 5 s, with an allowance of 1 s: at 29 s it is missed.
    assert found.of("heartbeat Watchdog: missed").measured == pytest.approx(29.0 - EFFECT_S)
    assert found.of("heartbeat Watchdog: back").measured == pytest.approx(55.0 - CLEARED_S)


def test_being_told_of_its_end_is_as_good_as_missing_it() -> None:
    found = results(lost().notice(25.0, "resolved", WATCHDOG, "heartbeat"))
    assert found.of("heartbeat Watchdog: missed").measured == pytest.approx(25.0 - EFFECT_S)


def test_one_that_goes_on_while_prometheus_is_away_fails() -> None:
    timeline = lost()
    for at_s in (27.0, 31.0, 35.0, 39.0, 43.0, 47.0, 51.0):
        timeline.notice(at_s, "firing", WATCHDOG, "heartbeat")
    found = results(timeline)
    assert found.verdict("heartbeat Watchdog: missed") is Verdict.FAIL
    assert "nobody at heartbeat could tell" in found.of("heartbeat Watchdog: missed").summary


def test_one_that_had_stopped_long_before_the_fault_fails() -> None:
    found = results(lost().without(lambda e: e.kind == "notice" and 7 < e.t_s < 50))
    assert found.verdict("heartbeat Watchdog: arriving before") is Verdict.FAIL


def test_one_that_never_arrived_fails() -> None:
    found = results(lost().without(lambda e: e.kind == "notice"))
    assert found.verdict("heartbeat Watchdog: arriving before") is Verdict.FAIL
    assert found.verdict("heartbeat Watchdog: back") is Verdict.FAIL


def test_one_that_is_missed_too_late_fails() -> None:
    timeline = lost()
    for at_s in (27.0, 31.0, 35.0):
        timeline.notice(at_s, "firing", WATCHDOG, "heartbeat")
    found = results(timeline)
    assert found.verdict("heartbeat Watchdog: missed") is Verdict.FAIL
    assert found.of("heartbeat Watchdog: missed").measured == pytest.approx(41.0 - EFFECT_S)


def test_one_that_does_not_come_back_fails() -> None:
    found = results(lost().without(lambda e: e.kind == "notice" and e.t_s > 50))
    assert found.verdict("heartbeat Watchdog: back") is Verdict.FAIL


def test_an_echo_of_what_began_before_the_fault_is_no_sign_of_life() -> None:
    def late(starts_at_s: float) -> Results:
        only = lost().without(lambda e: e.kind == "notice" and e.t_s > 50)
        data = {"labels": dict(WATCHDOG), "alertname": "Watchdog", "status": "firing", "arrived_s": 52.0}
        return results(only.add(52.1, "notice", "heartbeat", **data, starts_at_s=starts_at_s))

    assert late(2.0).verdict("heartbeat Watchdog: back") is Verdict.FAIL
    assert late(51.5).verdict("heartbeat Watchdog: back") is Verdict.PASS


def test_one_that_arrives_elsewhere_fails() -> None:
    astray = Expectation("silence", {"alert": "Watchdog", "receiver": "pager"})
    assert results(lost(), astray).verdict("heartbeat Watchdog: missed") is Verdict.FAIL


def test_silence_of_a_receiver_that_could_not_be_read_proves_nothing() -> None:
    found = results(lost().add(30.0, "gap", "receiver", from_s=22.0, to_s=30.0, error="refused"))
    assert found.verdict("heartbeat Watchdog: missed") is Verdict.UNKNOWN


def test_without_the_fault_seen_silence_proves_nothing() -> None:
    found = results(lost().without_one("fault", status="effect"))
    assert found.verdict("heartbeat Watchdog: missed") is Verdict.UNKNOWN


def test_a_beat_whose_time_is_no_number_is_no_beat() -> None:
    found = results(
        lost()
        .without(lambda e: e.kind == "notice" and e.t_s > 50)
        .add(55.1, "notice", "heartbeat", labels=dict(WATCHDOG), alertname="Watchdog", status="firing", arrived_s="NaN")
    )
    assert found.verdict("heartbeat Watchdog: back") is Verdict.FAIL


class TestBlindness:
    def test_prometheus_away_by_intent_is_no_hole_in_the_record(self) -> None:
        found = results(lost())
        assert found.verdict("record: complete") is Verdict.PASS
        assert found.verdict("record: rules evaluated") is Verdict.PASS

    def test_it_is_one_where_nobody_said_that_it_would_be(self) -> None:
        found = results(lost(), Expectation("quiet", {}))
        assert found.verdict("record: complete") is Verdict.UNKNOWN
        assert found.verdict("record: rules evaluated") is Verdict.UNKNOWN

    def test_it_is_one_where_the_fault_was_aimed_at_another_pod(self) -> None:
        timeline = lost()
        timeline = timeline.without_one("run").add(0.5, "run", "started", prometheus_pod="prometheus-9", ready_s=0.5)
        assert results(timeline).verdict("record: complete") is Verdict.UNKNOWN

    def test_another_source_that_was_away_still_is(self) -> None:
        found = results(lost().add(30.0, "gap", "load", from_s=25.0, to_s=30.0, error="silent"))
        assert found.verdict("record: complete") is Verdict.UNKNOWN

    def test_a_prometheus_that_stays_away_long_after_the_fault_is(self) -> None:
        late = lost().without_one("gap").add(59.0, "gap", "prometheus", from_s=19.5, to_s=62.0, error="refused")
        assert results(late).verdict("record: complete") is Verdict.UNKNOWN
