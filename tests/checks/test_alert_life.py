"""The states of an expected alert: what passes, what fails, and what cannot be told."""

from __future__ import annotations

import pytest

from harness.checks import alerts_proved
from harness.model import Verdict
from tests.checks.timelines import (
    BEGIN_S,
    HOT,
    UNDONE_S,
    Timeline,
    alert_spec,
    expects_hot,
    experiment,
    judged,
    passing,
    route,
    spec,
)

PASS, UNKNOWN, FAIL = Verdict.PASS, Verdict.UNKNOWN, Verdict.FAIL
OTHER = {**HOT, "gpu_id": "1"}


def proved(results: object) -> bool:
    return "Hot" in alerts_proved(results.all, spec())[0]  # type: ignore[attr-defined]


def test_a_whole_life_in_time_passes_and_proves_the_alert() -> None:
    results = judged(passing())
    assert [each for each in results.all if each.verdict is not PASS] == []
    assert proved(results)


def test_nothing_at_all_is_unknown_and_never_a_pass() -> None:
    results = judged(Timeline())
    assert {each.verdict for each in results.all} == {UNKNOWN}
    assert not proved(results)


def test_phases_without_any_observation_pass_nothing() -> None:
    empty = passing().without(lambda event: event.kind != "phase")
    assert {each.verdict for each in judged(empty).all} == {UNKNOWN}


def test_an_alert_that_stays_inactive_fails() -> None:
    silent = passing().without(lambda e: e.kind in ("rule", "notice") and e.data["labels"] == HOT)
    result = judged(silent).of("alert Hot: firing")
    assert (result.verdict, "never became true" in result.summary) == (FAIL, True)


def test_an_alert_that_is_only_pending_fails() -> None:
    shy = passing().without(lambda e: e.kind in ("rule", "notice") and e.data["labels"] == HOT).rule(21.0, "pending")
    result = judged(shy).of("alert Hot: firing")
    assert (result.verdict, "pending but did not fire" in result.summary) == (FAIL, True)


def test_a_rule_that_the_stack_does_not_select_fails() -> None:
    result = judged(Timeline().add(5.0, "phase", "overheat", status="begin"), spec(alert_spec("Cold"))).all
    assert any("selects no such rule" in each.summary and each.check == "alert Hot: firing" for each in result)
    unplugged = passing().without(lambda e: e.kind in ("rule", "notice") and e.data["labels"] == HOT)
    assert judged(unplugged, spec(alert_spec("Cold"))).verdict("alert Hot: firing") is FAIL


def test_a_rule_in_error_fails() -> None:
    broken = passing().without(lambda e: e.name in ("Hot", "pager") or (e.kind == "evaluation" and e.name == "gpu"))
    broken.evaluations(1.0, 60.0, health="err", error="many-to-many")
    results = judged(broken)
    assert "many-to-many" in results.of("alert Hot: firing").summary
    assert results.verdict("alert Hot: firing") is FAIL
    assert results.verdict("record: rules evaluated") is FAIL


@pytest.mark.parametrize("health", ["absent", "unknown"])
def test_an_alert_whose_rule_was_never_evaluated_is_unknown(health: str) -> None:
    blind = passing().without(lambda e: e.name in ("Hot", "pager") or (e.kind == "evaluation" and e.name == "gpu"))
    if health == "unknown":
        blind.evaluations(1.0, 60.0, health="unknown", last_s=None)
    results = judged(blind)
    assert results.verdict("alert Hot: firing") is UNKNOWN
    assert results.verdict("record: rules evaluated") is UNKNOWN


def test_an_alert_not_seen_while_prometheus_was_away_is_unknown() -> None:
    away = passing().without(lambda e: e.name in ("Hot", "pager"))
    away.add(30.0, "gap", "prometheus", from_s=25.0, to_s=30.0, error="refused")
    assert judged(away).verdict("alert Hot: firing") is UNKNOWN


def test_an_alert_that_no_fault_could_have_raised_is_unknown() -> None:
    untested = passing().without(lambda e: e.name in ("Hot", "pager") or e.data.get("status") == "effect")
    assert judged(untested).verdict("alert Hot: firing") is UNKNOWN


def test_an_alert_that_fires_without_a_seen_effect_is_not_proved() -> None:
    results = judged(passing().without_one("fault", status="effect"))
    assert results.verdict("alert Hot: pending") is UNKNOWN
    assert not proved(results)


@pytest.mark.parametrize(("fires_at_s", "verdict"), [(31.0, PASS), (30.9, FAIL), (32.5, PASS), (32.75, FAIL)])
def test_firing_neither_before_its_for_nor_after_its_bound(fires_at_s: float, verdict: Verdict) -> None:
    """Pending at 21 s, for 10 s, one evaluation of 0.5 s, an allowance of 10 % that is at least 1 s: until 32.55 s."""
    moved = passing().without_one("rule", state="firing", labels=HOT).rule(fires_at_s, "firing")
    moved = moved.without_one("notice", status="firing", labels=HOT).notice(fires_at_s + 0.5, "firing")
    assert judged(moved).verdict("alert Hot: firing") is verdict


@pytest.mark.parametrize(("over", "verdict"), [(0.0, PASS), (0.001, FAIL)])
def test_the_condition_may_become_true_exactly_at_its_bound(over: float, verdict: Verdict) -> None:
    at_s = 20.5 + 2.0 + over
    late = passing().without(lambda e: e.kind == "rule" and e.data["state"] == "pending").rule(at_s, "pending")
    late = late.without_one("rule", state="firing", labels=HOT).rule(at_s + 10, "firing")
    late = late.without_one("notice", status="firing", labels=HOT).notice(at_s + 10.5, "firing")
    results = judged(late)
    assert results.of("alert Hot: pending").limit == 2.0
    assert results.verdict("alert Hot: pending") is verdict


@pytest.mark.parametrize(("second_s", "verdict"), [(20.9, PASS), (21.1, FAIL)])
def test_a_condition_belongs_to_the_last_fault_that_had_begun_be_its_effect_read_later(
    second_s: float, verdict: Verdict
) -> None:
    """The first fault's effect is from 14 s; the second's is read at 22 s, and the condition is true at 21 s."""
    early = {"injecting": 13.5, "injected": 13.6, "effect": 14.0, "undone": 40.0, "cleared": 40.2}
    two = passing().without(lambda event: event.kind == "fault")
    for status, at_s in early.items():
        two.fault(at_s, status, "gpu-cooling-lost#1")
    for status, at_s in {**early, "injecting": second_s, "injected": second_s, "effect": 22.0}.items():
        two.fault(at_s, status, "gpu-cooling-lost#2")
    assert judged(two).verdict("alert Hot: pending") is verdict


def test_a_condition_that_was_true_before_the_effect_was_read_has_no_delay() -> None:
    early = passing().without_one("fault", status="effect").fault(24.0, "effect")
    assert judged(early).of("alert Hot: pending").measured == 0


def test_an_alert_that_was_pending_when_the_fault_went_in_fails() -> None:
    early = passing().without(lambda e: e.kind == "rule" and e.data["state"] == "pending").rule(19.0, "pending")
    assert judged(early).verdict("alert Hot: inactive before") is FAIL


def test_an_alert_that_fired_all_along_fails_for_that_reason() -> None:
    stuck = passing().without(lambda e: e.kind == "rule" and e.name == "Hot").rule(3.0, "firing")
    results = judged(stuck)
    assert results.verdict("alert Hot: inactive before") is FAIL
    assert "since before" in results.of("alert Hot: inactive before").summary
    assert not proved(results)


def test_an_earlier_life_does_not_stand_in_for_a_missed_pending() -> None:
    """Pending, inactive, then firing out of nothing: when the condition became true is not known."""
    jump = passing().without(lambda e: e.kind == "rule" and e.data["state"] == "pending")
    jump.rule(20.8, "pending").rule(20.9, "inactive")
    assert judged(jump).verdict("alert Hot: firing") is UNKNOWN


def test_a_rule_without_for_fires_at_once() -> None:
    sudden = passing().without(lambda e: e.kind == "rule" and e.data["state"] == "pending")
    sudden = sudden.without_one("rule", state="firing", labels=HOT).rule(21.0, "firing")
    sudden = sudden.without_one("notice", status="firing", labels=HOT).notice(21.5, "firing")
    results = judged(sudden, spec(alert_spec(for_s=0.0)))
    assert {each.verdict for each in results.all} == {PASS}
    assert judged(sudden).verdict("alert Hot: firing") is UNKNOWN


def test_an_alert_that_still_fires_at_the_end_fails() -> None:
    assert judged(passing().without_one("rule", state="inactive")).verdict("alert Hot: resolved") is FAIL


def test_an_alert_that_resolves_while_the_fault_is_in_fails() -> None:
    early = passing().without_one("rule", state="inactive").rule(UNDONE_S - 1, "inactive")
    result = judged(early).of("alert Hot: resolved")
    assert (result.verdict, "still in" in result.summary) == (FAIL, True)


@pytest.mark.parametrize(("began_s", "verdict"), [(37.0, PASS), (39.9, FAIL)])
def test_while_a_fault_is_being_undone_it_may_resolve(began_s: float, verdict: Verdict) -> None:
    """Of two pods one was whole at 38 s, the other at 40 s."""
    slow = passing().fault(began_s, "undoing").without_one("rule", at_s=41.0).rule(38.0, "inactive")
    slow = slow.without_one("notice", status="resolved").notice(39.0, "resolved")
    assert judged(slow).verdict("alert Hot: resolved") is verdict


@pytest.mark.parametrize(("resolved_s", "verdict"), [(49.0, PASS), (51.9, PASS), (53.0, FAIL)])
def test_a_fault_that_takes_long_to_be_gone_holds_up_no_alert(resolved_s: float, verdict: Verdict) -> None:
    """Undone at 40 s, seen gone at 50 s only, as when pods have to start again: from there on the bound runs."""
    slow = passing().without_one("fault", status="cleared").fault(50.0, "cleared")
    slow = slow.without_one("rule", at_s=41.0).rule(resolved_s, "inactive")
    slow = slow.without_one("notice", status="resolved").notice(resolved_s + 0.1, "resolved")
    assert judged(slow).verdict("alert Hot: resolved") is verdict


def test_an_alert_that_fires_again_after_the_fault_fails() -> None:
    """It resolved in time, and that was told; but it came back and stayed."""
    again = passing().rule(50.0, "firing")
    result = judged(again).of("alert Hot: resolved")
    assert (result.verdict, "fired again" in result.summary) == (FAIL, True)
    assert not proved(judged(again))


def test_an_alert_that_fires_again_for_a_second_fault_is_not_held_against_it() -> None:
    twice = passing()
    for status, at_s in (
        ("injecting", 43.0),
        ("injected", 43.0),
        ("effect", 43.5),
        ("undone", 56.0),
        ("cleared", 56.2),
    ):
        twice.fault(at_s, status, "gpu-cooling-lost#2")
    twice.rule(44.0, "pending").rule(54.0, "firing").rule(57.0, "inactive")
    twice.notice(55.0, "firing").notice(58.0, "resolved")
    assert judged(twice).verdict("alert Hot: resolved") is PASS
    assert judged(twice.without_one("rule", at_s=57.0)).verdict("alert Hot: resolved") is FAIL


@pytest.mark.parametrize(("over", "verdict"), [(0.0, PASS), (0.001, FAIL)])
def test_resolving_exactly_at_the_bound_passes(over: float, verdict: Verdict) -> None:
    """Gone at 40.2 s; one scrape, one evaluation and a second."""
    at_s = 40.2 + 2.0 + over
    late = passing().without_one("rule", state="inactive").rule(at_s, "inactive")
    late = late.without_one("notice", status="resolved").notice(at_s + 0.5, "resolved")
    assert judged(late).verdict("alert Hot: resolved") is verdict


@pytest.mark.parametrize("status", ["undo-failed", "not-cleared"])
def test_a_fault_that_stayed_in_proves_no_resolution(status: str) -> None:
    left = passing().without(lambda e: e.kind == "fault" and e.data["status"] in ("undone", "cleared"))
    left.fault(UNDONE_S, status, observed="no such pod")
    results = judged(left)
    assert results.verdict("alert Hot: resolved") is UNKNOWN
    assert results.verdict("fault gpu-cooling-lost: undone") is FAIL


def test_a_fault_that_nobody_undid_proves_no_resolution() -> None:
    left = passing().without(lambda e: e.kind == "fault" and e.data["status"] in ("undone", "cleared"))
    results = judged(left)
    assert results.verdict("alert Hot: resolved") is UNKNOWN
    assert results.verdict("fault gpu-cooling-lost: undone") is UNKNOWN


def test_a_fault_without_an_undo_is_over_with_its_effect() -> None:
    brief = passing().without(lambda e: e.kind == "fault" and e.data["status"] in ("undone", "cleared", "injected"))
    brief = brief.fault(20.1, "injected", undoable=False).without_one("rule", state="inactive").rule(22.4, "inactive")
    brief = brief.without_one("rule", state="firing", labels=HOT).rule(22.0, "firing")
    brief = brief.without_one("rule", state="pending").without_one("notice", labels=HOT)
    brief = brief.notice(22.1, "firing").notice(22.5, "resolved")
    results = judged(brief, spec(alert_spec(for_s=0.0)))
    assert results.verdict("alert Hot: resolved") is PASS


def test_several_instances_are_each_held_to_the_whole_life() -> None:
    both = passing().rule(21.0, "pending", OTHER).rule(31.0, "firing", OTHER)
    both.notice(32.0, "firing", OTHER)
    results = judged(both)
    assert not proved(results)
    assert [r.verdict for r in results.all if r.check == "alert Hot: resolved"] == [PASS, FAIL]
    both.rule(41.0, "inactive", OTHER).notice(42.0, "resolved", OTHER)
    assert judged(both).merged is PASS


def test_an_instance_with_other_labels_than_expected_is_unexpected() -> None:
    only_0 = experiment(expects_hot(labels={"gpu_id": "0"}))
    both = passing().rule(21.0, "pending", OTHER).rule(31.0, "firing", OTHER).rule(41.0, "inactive", OTHER)
    results = judged(both, run_experiment=only_0)
    assert results.verdict("alert Hot: resolved") is PASS
    assert results.verdict("nothing else fired") is FAIL
    assert judged(passing(), run_experiment=only_0).merged is PASS


def test_of_several_rules_of_one_name_the_one_that_made_the_alert_counts() -> None:
    warning = alert_spec(labels={"severity": "warning"}, for_s=500.0)
    plain = alert_spec(labels={}, for_s=900.0)
    assert judged(passing(), spec(plain, warning, alert_spec())).merged is PASS
    assert judged(passing(), spec(warning)).verdict("alert Hot: notified") is FAIL


def test_a_rule_whose_labels_are_templates_makes_its_alerts() -> None:
    templated = alert_spec(labels={"severity": "{{ if gt $value 90.0 }}critical{{ end }}", "team": ""})
    assert judged(passing(), spec(templated)).merged is PASS
    assert judged(passing(), spec(alert_spec(labels={"severity": "low"}))).merged is FAIL


def test_times_that_are_no_numbers_prove_nothing() -> None:
    for state in ("firing", "inactive", "pending"):
        broken = passing().without_one("rule", state=state, labels=HOT)
        broken.add(31.1, "rule", "Hot", labels=dict(HOT), state=state, at_s="NaN")
        results = judged(broken)
        assert results.merged is not PASS
        assert not proved(results)


def test_an_instance_that_was_told_but_never_seen_firing_is_unknown() -> None:
    lost = passing().notice(33.0, "firing", OTHER)
    results = judged(lost)
    assert results.merged is UNKNOWN
    assert not proved(results)


def test_an_interrupted_experiment_passes_nothing_as_a_whole() -> None:
    cut = passing().without(lambda e: e.kind == "phase" and e.t_s == 60.0)
    assert judged(cut).merged is UNKNOWN
    cut.add(60.0, "phase", "overheat", status="end", interrupted=True)
    assert judged(cut).merged is UNKNOWN


def test_what_an_interruption_left_no_time_for_is_unknown_rather_than_failed() -> None:
    cut = passing().without(lambda e: e.t_s > 35.0).add(35.5, "phase", "overheat", status="end", interrupted=True)
    assert judged(cut).verdict("alert Hot: resolved") is UNKNOWN


def test_compressed_time_moves_the_bounds_and_not_the_allowance() -> None:
    slow = spec(alert_spec(for_s=600.0, scrape_interval_s=30.0, evaluation_interval_s=30.0))
    assert judged(passing(), slow, scale=60.0).merged is PASS
    assert judged(passing(), slow, scale=30.0).verdict("alert Hot: firing") is FAIL


def test_an_alert_of_the_window_before_says_nothing_of_this_one() -> None:
    early = passing().rule(BEGIN_S - 8, "firing").rule(BEGIN_S - 7, "inactive")
    assert judged(early).verdict("alert Hot: inactive before") is PASS
    assert judged(early).verdict("nothing else fired", "baseline") is PASS
    assert judged(early.rule(BEGIN_S - 6, "firing")).verdict("nothing else fired", "baseline") is FAIL


def test_without_routes_nothing_can_be_notified() -> None:
    from dataclasses import replace

    assert judged(passing(), replace(spec(), route=None)).verdict("alert Hot: notified") is FAIL
    assert judged(passing(), spec(routes=route("pager"))).verdict("alert Hot: notified") is PASS
