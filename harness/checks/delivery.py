"""Whether what an alert's labels route to was told of it, in time: of its firing and of its end."""

from __future__ import annotations

from harness.checks.bounds import AlertBounds
from harness.checks.case import CLOCK_SLACK_S, Case
from harness.checks.coverage import rule_text
from harness.checks.forgetting import forgotten_by
from harness.checks.muting import muted_by
from harness.checks.notices import arrived_s, notices_since, tells
from harness.checks.window import AlertHistory, StateChange, alert_histories
from harness.model import CheckResult, Event, Verdict
from harness.spec import Route

# Prometheus sends a resolved alert again for this long; the time is fixed in its source (rules/alerting.go,
# resolvedRetention) and no flag compresses it.
_RESOLVED_RETENTION_S = 15 * 60.0


def routes_to_check(case: Case, history: AlertHistory) -> tuple[tuple[Route, ...], str]:
    """The routes the labels lead to, or only that of the receiver which the expectation names, or none and why."""
    if case.spec.route is None:
        return (), "the stack has no routes"
    routes = case.spec.route.resolve(history.labels)
    wanted = case.expectation.params.get("receiver")
    if wanted is None:
        # A receiver reached by two routes is told twice; once is what can be asked for.
        return tuple({route.receiver: route for route in reversed(routes)}.values())[::-1], ""
    for route in routes:
        if route.receiver == wanted or route.receiver.endswith(f"/{wanted}"):
            return (route,), ""
    led = ", ".join(route.receiver for route in routes)
    return (), f"its labels route to {led}, not to {wanted}:"


def group_exists(case: Case, history: AlertHistory, firing: StateChange, route: Route) -> bool:
    """Whether an alert of the same notification group, this very one included, was firing not long before."""
    assert case.spec.route is not None
    # A group stays while Prometheus repeats that its last alert resolved; until then a new one waits for the interval.
    since_s = firing.at_s - _RESOLVED_RETENTION_S - 2 * route.group_interval_s / case.time_scale
    for other in alert_histories(case.window.events):
        if route not in case.spec.route.resolve(other.labels):
            continue
        names = {*other.labels, *history.labels} if route.group_by == ("...",) else route.group_by
        same_group = all(other.labels.get(name) == history.labels.get(name) for name in names)
        # A microsecond keeps this firing itself out, which is no earlier one.
        if same_group and other.fired_within(since_s, firing.at_s - (1e-6 if other.labels == history.labels else 0.0)):
            return True
    return False


def notified(
    case: Case, history: AlertHistory, firing: StateChange, true: StateChange, route: Route, bounds: AlertBounds
) -> CheckResult:
    """The time from its firing to the receiver. An experiment may tighten the whole way from the condition on."""
    limit_s = bounds.notice_s
    if case.expectation.bound_s is not None:
        limit_s = min(limit_s, case.expectation.bound_s / case.time_scale - (firing.at_s - true.at_s))
    notice = _notice(case, history, route.receiver, "firing", since_s=firing.at_s)
    if notice is not None:
        took_s = arrived_s(notice) - firing.at_s
        return case.within("notified", took_s, limit_s, f"at {route.receiver}", (firing.seq, notice.seq))
    elsewhere = sorted(
        {event.name for event in case.window.of_kind("notice") if tells(event, history.labels, "firing")}
        - {route.receiver}
    )
    where = f"; it reached {', '.join(elsewhere)}" if elsewhere else ""
    by = muted_by(case.window.events, case.spec, history.labels, firing.at_s)
    if by is not None:
        where += f"; {by[0].name} mutes it: {rule_text(by[1])}"
    return _missing(case, "notified", firing, limit_s, f"fired, but nothing arrived at {route.receiver}{where}")


def resolution_notified(
    case: Case, history: AlertHistory, inactive: StateChange, route: Route, bounds: AlertBounds
) -> CheckResult:
    """The time from its end to the receiver's being told of it."""
    stage, limit_s = "resolution notified", bounds.resolved_notice_s
    receiver = next((each for each in case.spec.receivers if each.name == route.receiver), None)
    if receiver is not None and receiver.send_resolved is False:
        summary = f"{route.receiver} does not ask for resolutions (send_resolved is off)"
        return case.result(stage, Verdict.FAIL, None, limit_s, summary, (inactive.seq,))
    notice = _notice(case, history, route.receiver, "resolved", since_s=inactive.at_s)
    if notice is None:
        forgotten, evidence = _forgotten(case, history, route.receiver)
        return _missing(case, stage, inactive, limit_s, f"nothing arrived at {route.receiver}{forgotten}", evidence)
    took_s = arrived_s(notice) - inactive.at_s
    return case.within(stage, took_s, limit_s, f"at {route.receiver}", (inactive.seq, notice.seq))


def _notice(case: Case, history: AlertHistory, receiver: str, status: str, *, since_s: float) -> Event | None:
    found = notices_since(case.window.of_kind("notice", receiver), history.labels, status, since_s=since_s)
    return next(iter(found), None)


def _forgotten(case: Case, history: AlertHistory, receiver: str) -> tuple[str, tuple[int, ...]]:
    """Why nobody is owed the resolution, where the replicas of the Alertmanager made each other forget the alert."""
    peers = case.spec.peers
    notices = list(case.window.of_kind("notice", receiver))
    told = [notice for notice in notices if tells(notice, history.labels, "firing")]
    if peers is None or not told:
        return "", ()
    wait_s = peers.longest_wait_s(case.time_scale) + 2 * CLOCK_SLACK_S
    by = forgotten_by(notices, told[-1], within_s=wait_s)
    if by is None:
        return "", ()
    after_s = arrived_s(by) - arrived_s(told[-1])
    said = (
        f": {after_s:.2f} s after it was told, a replica of {peers.workload} that had not heard of the alert told its"
        " group without it, and all of them forgot it; that can happen to one that is over within a group_interval"
    )
    return said, (told[-1].seq, by.seq)


def _missing(
    case: Case, stage: str, since: StateChange, limit_s: float, summary: str, evidence: tuple[int, ...] = ()
) -> CheckResult:
    """Nothing came: FAIL, unless the receiver could not be read for a while."""
    gaps = tuple(event.seq for event in case.window.of_kind("gap", "receiver"))
    verdict = Verdict.UNKNOWN if gaps else Verdict.FAIL
    return case.result(stage, verdict, None, limit_s, summary, (since.seq, *evidence, *gaps))
