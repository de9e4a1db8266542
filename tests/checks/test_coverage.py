"""What a run proved of the stack beside its alerts."""

from __future__ import annotations

from dataclasses import replace

from harness.checks.coverage import coverage, rule_text
from harness.model import Covered
from harness.spec import InhibitRule, Matcher, Panel, Receiver, Spec
from tests.checks.test_muting import RULE, expects_muted, muting
from tests.checks.test_muting import timeline as muted_timeline
from tests.checks.timelines import Timeline, expects_hot, experiment, judged, passing, spec

PANEL = Panel("Board", "Heat", ("a", "b"))


def covered(timeline: Timeline, run_spec: Spec | None = None) -> dict[str, Covered]:
    known = run_spec or spec()
    return dict(coverage(judged(timeline, known).all, timeline.events(), known))


class TestReceivers:
    def test_one_that_was_told_of_firing_and_resolution_is_proved(self) -> None:
        found = covered(passing())["receivers"]
        assert found.proved == ("pager", "heartbeat")
        assert found.unproved == ("chat: no alert was seen to arrive",)

    def test_one_that_was_not_told_of_the_resolution_is_not(self) -> None:
        found = covered(passing().without_one("notice", status="resolved"))["receivers"]
        assert "pager: no resolution was seen to arrive" in found.unproved

    def test_a_notification_that_came_too_late_proves_none(self) -> None:
        late = passing().without_one("notice", alertname="Hot", status="firing").notice(39.9, "firing")
        assert "pager: no alert was seen to arrive" in covered(late)["receivers"].unproved

    def test_one_without_integrations_says_so(self) -> None:
        known = replace(spec(), receivers=(Receiver("nobody", None, ()),))
        assert covered(passing(), known)["receivers"].unproved == (
            "nobody: no alert was seen to arrive, and it has no integrations",
        )


class TestRoutes:
    def test_those_that_notifications_took_are_proved(self) -> None:
        found = covered(passing())["routes"]
        assert found.proved == ('{severity="critical"} → pager', '{alertname="Watchdog"} → heartbeat')
        assert found.unproved == ("the root → nobody", '{severity="warning"} → chat')

    def test_without_an_alertmanager_there_are_none(self) -> None:
        assert covered(passing(), replace(spec(), route=None))["routes"] == Covered((), ())


class TestInhibitionRules:
    def test_one_that_a_muted_alert_rests_on_is_proved(self) -> None:
        other = InhibitRule((Matcher("a", "=", "b"),), (Matcher("c", "=", "d"),), ())
        known, events = muting(RULE, other), muted_timeline()
        results = judged(events, known, experiment(expects_hot(), expects_muted())).all
        found = coverage(results, events.events(), known)["inhibition_rules"]
        assert (found.proved, found.unproved) == ((rule_text(RULE),), (rule_text(other),))

    def test_one_whose_muted_alert_was_told_of_is_not(self) -> None:
        events = muted_timeline().notice(35.0, "firing", {"alertname": "Full", "severity": "warning", "gpu_id": "0"})
        results = judged(events, muting(), experiment(expects_hot(), expects_muted())).all
        assert coverage(results, events.events(), muting())["inhibition_rules"].proved == ()


class TestPanels:
    def panels(self, *asked: tuple[str, int, str]) -> Covered:
        timeline = passing()
        for number, (query, series, error) in enumerate(asked):
            timeline.add(20.0 + number, "panel", PANEL.name, query=query, series=series, error=error)
        return covered(timeline, replace(spec(), panels=(PANEL,)))["panels"]

    def test_one_all_of_whose_queries_returned_data_is_proved(self) -> None:
        assert self.panels(("a", 1, ""), ("b", 0, ""), ("b", 3, "")) == Covered(("Board / Heat",), ())

    def test_one_query_without_data_is_enough_to_be_unproved(self) -> None:
        assert self.panels(("a", 1, ""), ("b", 0, "")).unproved == ("Board / Heat: returned no data (b)",)
        assert self.panels(("a", 1, ""), ("b", 0, "bad data")).unproved == ("Board / Heat: bad data (b)",)

    def test_one_that_was_not_asked_is_unproved(self) -> None:
        assert self.panels(("a", 1, "")).unproved == ("Board / Heat: was not asked",)
        assert self.panels().unproved == ("Board / Heat: was not asked",)

    def test_one_that_cannot_be_asked_says_why(self) -> None:
        known = replace(spec(), panels=(replace(PANEL, problem="nothing says what $x stands for"),))
        assert covered(passing(), known)["panels"].unproved == ("Board / Heat: nothing says what $x stands for",)
