"""An alert that fires while another mutes it: nobody is told, and that has to be so by a rule of the stack."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from harness.checks.bounds import alert_bounds
from harness.checks.case import CLOCK_SLACK_S, Case, labels_text
from harness.checks.coverage import rule_text
from harness.checks.window import AlertHistory, StateChange, Window, alert_histories
from harness.model import CheckResult, Event, Expectation, Verdict
from harness.spec import InhibitRule, Spec


def check_muted(expectation: Expectation, window: Window, spec: Spec, *, time_scale: float) -> Iterator[CheckResult]:
    """For each instance of the alert that fired: an alert that mutes it fired all the while that a notification of it
    was due, and no receiver was told of it. UNKNOWN when the receivers could not be read, or no fault was in."""
    case = Case(expectation, window, spec, time_scale)
    found = False
    for history in case.histories():
        firing = case.firing(history)
        if firing is not None:
            found = True
            yield _muted(case, history, firing)
    if not found:
        seen = bool(window.faults("effect")) and any(window.of_kind("evaluation"))
        verdict = Verdict.FAIL if seen and not list(window.of_kind("gap", "prometheus")) else Verdict.UNKNOWN
        yield case.result("muted", verdict, None, None, "did not fire: there was nothing to mute", ())


def _muted(case: Case, history: AlertHistory, firing: StateChange) -> CheckResult:
    told = [event for event in case.window.of_kind("notice") if event.data["labels"] == history.labels]
    gaps = list(case.window.of_kind("gap", "receiver"))
    by = muted_by(case.window.events, case.spec, history.labels, firing.at_s)
    wanted = case.expectation.params.get("by")
    if told:
        arrived = sorted({event.name for event in told})
        summary = f"{', '.join(arrived)} was told of it {labels_text(history.labels)}"
        return case.result("muted", Verdict.FAIL, None, None, summary, (firing.seq, *(e.seq for e in told)))
    if by is None or (wanted is not None and by[0].name != wanted):
        other = f"; {by[0].name} mutes it" if by is not None else ""
        summary = f"no rule lets {wanted or 'an alert that fired then'} mute it{other} {labels_text(history.labels)}"
        return case.result("muted", Verdict.FAIL, None, None, summary, (firing.seq,))
    source, rule = by
    if gaps:
        summary = "nobody seems to have been told, but the receivers could not be read for a while"
        return case.result("muted", Verdict.UNKNOWN, None, None, summary, (firing.seq, gaps[0].seq))
    if not case.window.faults("effect"):
        summary = "no fault's effect was seen that should have made it fire"
        return case.result("muted", Verdict.UNKNOWN, None, None, summary, (firing.seq,))
    return _long_enough(case, history, firing, source, rule)


def _long_enough(
    case: Case, history: AlertHistory, firing: StateChange, source: AlertHistory, rule: InhibitRule
) -> CheckResult:
    """That both fired together for as long as a notification may take, or its absence would show nothing."""
    due_s = _notice_s(case, history)
    due_s += case.peers_wait_s(firing.at_s + due_s)
    until_s = min(_fires_until(each, firing.at_s, case.window.end_s) for each in (history, source))
    together_s = until_s - firing.at_s
    since = source.state_at(firing.at_s)
    evidence = (firing.seq, *((since.seq,) if since is not None else ()))
    if together_s < due_s - CLOCK_SLACK_S:
        summary = f"{source.name} and it fired together for {together_s:.2f} s; a notification may take {due_s:.2f} s"
        return case.result("muted", Verdict.UNKNOWN, together_s, due_s, summary, evidence)
    summary = f"nobody was told for {together_s:.2f} s, while {source.name} fired: {rule_text(rule)}"
    return case.result("muted", Verdict.PASS, together_s, due_s, summary, evidence)


def muted_by(
    events: tuple[Event, ...], spec: Spec, labels: Mapping[str, str], at_s: float
) -> tuple[AlertHistory, InhibitRule] | None:
    """The alert that fired at this time and mutes one with these labels, and by which rule; None: none does."""
    for source in alert_histories(events):
        state = source.state_at(at_s + CLOCK_SLACK_S)
        if state is not None and state.state == "firing" and source.labels != labels:
            for rule in spec.inhibit_rules:
                if rule.mutes(source.labels, labels):
                    return source, rule
    return None


def _fires_until(history: AlertHistory, since_s: float, end_s: float) -> float:
    inactive = history.first("inactive", since_s=since_s, until_s=end_s)
    return end_s if inactive is None else inactive.at_s


def _notice_s(case: Case, history: AlertHistory) -> float:
    """The longest a notification may take on any route the alert's labels lead to; real seconds."""
    routes = case.spec.route.resolve(history.labels) if case.spec.route is not None else ()
    rules = case.spec.alert(case.alert)
    bounds = [alert_bounds(rule, route, time_scale=case.time_scale).notice_s for rule in rules for route in routes]
    return max(bounds, default=0.0)
