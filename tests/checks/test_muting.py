"""An alert that fires and of which nobody is told, because another one mutes it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.model import Expectation, Verdict
from harness.spec import InhibitRule, Matcher, Peers, Spec
from tests.checks.timelines import HOT, Timeline, alert_spec, expects_hot, experiment, judged, passing, spec

FULL = {"alertname": "Full", "severity": "warning", "gpu_id": "0"}
CHECK = "alert Full: muted"
RULE = InhibitRule(
    source=(Matcher("severity", "=", "critical"),), target=(Matcher("severity", "=", "warning"),), equal=("gpu_id",)
)


def expects_muted(by: str | None = "Hot", labels: dict[str, str] | None = None) -> Expectation:
    return Expectation("muted", {"alert": "Full", "by": by, "labels": labels or {}})


def muting(*rules: InhibitRule) -> Spec:
    full = alert_spec("Full", labels={"severity": "warning"}, for_s=0.0)
    return replace(spec(alert_spec(), full), inhibit_rules=rules or (RULE,))


def timeline(from_s: float = 32.0, to_s: float = 41.0) -> Timeline:
    """Hot fires from 31 s to 41 s; Full from 32 s on beside it."""
    return passing().rule(from_s, "firing", FULL).rule(to_s, "inactive", FULL)


def verdict(events: Timeline, run_spec: Spec | None = None, expectation: Expectation | None = None) -> Any:
    return judged(events, run_spec or muting(), experiment(expects_hot(), expectation or expects_muted())).of(CHECK)


def test_nobody_told_while_the_source_fires_passes() -> None:
    found = judged(timeline(), muting(), experiment(expects_hot(), expects_muted()))
    assert found.verdict(CHECK) is Verdict.PASS
    assert found.verdict("nothing else fired") is Verdict.PASS
    assert found.merged is Verdict.PASS, [each for each in found.all if each.verdict is not Verdict.PASS]
    assert (found.of(CHECK).measured, found.of(CHECK).limit) == (9.0, 6.0)


@pytest.mark.parametrize("arrived_s", [33.0, 50.0])
def test_somebody_told_fails_also_when_the_source_is_over(arrived_s: float) -> None:
    found = verdict(timeline().notice(arrived_s, "firing", FULL, "chat"))
    assert (found.verdict, "chat was told of it" in found.summary) == (Verdict.FAIL, True)


def test_silence_that_no_rule_explains_fails() -> None:
    other = replace(RULE, equal=("instance", "alertname"))
    assert verdict(timeline(), muting(other)).verdict is Verdict.FAIL


def test_another_source_than_the_one_named_fails() -> None:
    assert verdict(timeline(), expectation=expects_muted(by="Watchdog")).verdict is Verdict.FAIL
    assert verdict(timeline(), expectation=expects_muted(by=None)).verdict is Verdict.PASS


def test_an_alert_that_did_not_fire_was_not_muted() -> None:
    assert verdict(passing()).verdict is Verdict.FAIL
    assert verdict(passing().without_one("fault", status="effect")).verdict is Verdict.UNKNOWN


def test_firing_together_too_short_for_a_notification_proves_nothing() -> None:
    assert verdict(timeline(to_s=34.0)).verdict is Verdict.UNKNOWN
    assert verdict(timeline(from_s=37.0)).verdict is Verdict.UNKNOWN


def test_just_long_enough_passes() -> None:
    assert verdict(timeline(to_s=38.0)).verdict is Verdict.PASS


def test_a_notification_that_may_wait_for_an_alertmanager_that_died_takes_longer_to_be_missed() -> None:
    peers = Peers("monitoring", "alertmanager-main", 3, 2.0)
    died = timeline().add(25.0, "pod", "alertmanager-main-0", status="exited", workload="alertmanager-main")
    assert (found := verdict(died, replace(muting(), peers=peers))).limit == 6.0 + 2 * 2.0
    assert found.verdict is Verdict.UNKNOWN
    assert verdict(timeline(), replace(muting(), peers=peers)).limit == 6.0


def test_a_receiver_that_could_not_be_read_proves_nothing() -> None:
    away = timeline().add(35.0, "gap", "receiver", from_s=33.0, to_s=35.0, error="refused")
    assert verdict(away).verdict is Verdict.UNKNOWN


def test_without_the_faults_effect_it_proves_nothing() -> None:
    assert verdict(timeline().without_one("fault", status="effect")).verdict is Verdict.UNKNOWN


def test_a_state_whose_time_is_no_number_shows_nothing() -> None:
    odd = passing().add(32.0, "rule", "Full", labels=FULL, state="firing", at_s="NaN")
    assert verdict(odd).verdict is Verdict.FAIL


def test_an_expected_notification_that_was_muted_says_by_what() -> None:
    events = passing().without(lambda e: e.kind == "notice" and e.data["labels"] == HOT)
    boss = {"alertname": "Boss", "severity": "page"}
    rule = InhibitRule((Matcher("alertname", "=", "Boss"),), (Matcher("severity", "=", "critical"),), ())
    run_spec = replace(spec(alert_spec(), alert_spec("Boss")), inhibit_rules=(rule,))
    found = judged(events.rule(3.0, "firing", boss), run_spec, experiment(allowed=["Boss"])).of("alert Hot: notified")
    assert found.verdict is Verdict.FAIL
    assert 'Boss mutes it: {alertname="Boss"} mutes {severity="critical"}' in found.summary


class TestRule:
    def test_labels_absent_on_both_sides_agree(self) -> None:
        rule = replace(RULE, equal=("instance",))
        assert rule.mutes({"severity": "critical"}, {"severity": "warning"})
        assert not rule.mutes({"severity": "critical", "instance": "a"}, {"severity": "warning"})

    def test_what_matches_both_sides_is_not_muted_by_its_like(self) -> None:
        rule = InhibitRule((Matcher("team", "=", "a"),), (Matcher("team", "=", "a"),), ("team",))
        assert not rule.mutes({"team": "a", "alertname": "X"}, {"team": "a", "alertname": "Y"})
