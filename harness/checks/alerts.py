"""An alert's whole life: inactive, pending, firing, delivered where its labels route to, resolved, delivered again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from harness.checks.bounds import alert_bounds
from harness.checks.case import Case, is_expected, labels_text
from harness.checks.delivery import group_exists, notified, resolution_notified, routes_to_check
from harness.checks.life import becoming, ending, inactive_before
from harness.checks.quiet import check_quiet, heartbeats
from harness.checks.window import AlertHistory, Window
from harness.model import CheckResult, Event, Expectation, Verdict
from harness.spec import AlertSpec, Spec


def check_alert(expectation: Expectation, window: Window, spec: Spec, *, time_scale: float) -> list[CheckResult]:
    """The stages of every instance of the expected alert that fired, or what kept it from firing.

    An alert that did not fire is a FAIL when the record shows that a fault was in and its rule evaluated; UNKNOWN when
    it does not show both.
    """
    case = Case(expectation, window, spec, time_scale)
    results = [result for history in case.histories() for result in _instance(case, history)]
    results += _delivered_unseen(case)
    return results or [_never_fired(case)]


def _instance(case: Case, history: AlertHistory) -> Iterator[CheckResult]:
    before = history.state_at(case.window.begin_s)
    firing = case.firing(history)
    if firing is not None:
        yield from _stages(case, history)
    elif before is not None and before.state == "firing":
        summary = f"was firing since before the experiment {labels_text(history.labels)}"
        yield case.result("inactive before", Verdict.FAIL, None, None, summary, (before.seq,))


def _stages(case: Case, history: AlertHistory) -> Iterator[CheckResult]:
    rule = _rule_of(case.spec.alert(case.alert), history.labels)
    routes, wrong = routes_to_check(case, history)
    firing = case.firing(history)
    assert firing is not None
    if rule is None or not routes:
        problem = wrong or "no rule of the stack makes an alert with these labels"
        summary = f"{problem} {labels_text(history.labels)}"
        yield case.result("notified", Verdict.FAIL, None, None, summary, (firing.seq,))
        return
    bounds = alert_bounds(rule, routes[0], time_scale=case.time_scale)
    yield inactive_before(case, history)
    true, results = becoming(case, history, firing, rule, bounds)
    yield from results
    for route in routes:
        joins = group_exists(case, history, firing, route)
        there = alert_bounds(rule, route, time_scale=case.time_scale, group_exists=joins)
        wait_s = case.peers_wait_s(firing.at_s + there.notice_s)
        yield notified(case, history, firing, true, route, there.with_wait(wait_s))
    inactive, result = ending(case, history, firing, bounds)
    yield result
    if inactive is not None:
        for route in routes:
            there = alert_bounds(rule, route, time_scale=case.time_scale)
            wait_s = case.peers_wait_s(inactive.at_s + there.resolved_notice_s)
            yield resolution_notified(case, history, inactive, route, there.with_wait(wait_s))


def _rule_of(rules: Sequence[AlertSpec], labels: Mapping[str, str]) -> AlertSpec | None:
    """Of several rules of one name the one whose own labels say most about the alert; None when none can make it.

    A label whose value is a template takes any value, and one without a value is removed by Prometheus.
    """
    fitting = [rule for rule in rules if all(_fits(value, labels.get(name, "")) for name, value in rule.labels.items())]
    return max(fitting, key=lambda rule: len(rule.labels), default=None)


def _fits(written: str, actual: str) -> bool:
    return "{{" in written or written == actual


def _delivered_unseen(case: Case) -> Iterator[CheckResult]:
    """Instances that a receiver was told of and that were never seen firing: the record has lost something."""
    seen = [
        history.labels for history in case.histories() if history.fired_within(case.window.begin_s, case.window.end_s)
    ]
    unseen: list[Event] = []
    for event in case.window.of_kind("notice"):
        labels = event.data["labels"]
        new = labels not in seen and all(labels != each.data["labels"] for each in unseen)
        if event.data["status"] == "firing" and is_expected(case.expectation, labels) and new:
            unseen.append(event)
    for event in unseen:
        summary = f"{event.name} was told of it, but nothing shows it firing {labels_text(event.data['labels'])}"
        yield case.result("firing", Verdict.UNKNOWN, None, None, summary, (event.seq,))


def _never_fired(case: Case) -> CheckResult:
    rules = case.spec.alert(case.alert)
    groups = {rule.group for rule in rules}
    entries = [event for event in case.window.of_kind("evaluation") if event.name in groups]
    evaluated = [event for event in entries if event.data["health"] != "unknown"]
    broken = [event for event in evaluated if event.data["health"] == "err"]
    away = list(case.window.of_kind("gap", "prometheus"))
    pending = [
        change
        for history in case.histories()
        if (change := history.first("pending", since_s=case.window.begin_s, until_s=case.window.end_s)) is not None
    ]
    if not rules:
        summary, verdict = "the stack selects no such rule", Verdict.FAIL
    elif broken:
        summary, verdict = f"its rule cannot be evaluated: {broken[-1].data.get('error')}", Verdict.FAIL
    elif not evaluated:
        summary, verdict = "did not fire, and nothing shows that its rule was evaluated", Verdict.UNKNOWN
    elif away:
        summary, verdict = "was not seen firing, but Prometheus did not answer for a while", Verdict.UNKNOWN
    elif not case.window.faults("effect"):
        summary, verdict = "did not fire, and no fault's effect was seen that should have made it", Verdict.UNKNOWN
    elif pending:
        summary, verdict = "was pending but did not fire", Verdict.FAIL
    else:
        summary, verdict = "its rule was evaluated but its condition never became true", Verdict.FAIL
    evidence = (*(change.seq for change in pending), *(event.seq for event in (*evaluated[-1:], *away[:1])))
    return case.result("firing", verdict, None, None, summary, evidence)


__all__ = ["check_alert", "check_quiet", "heartbeats"]
