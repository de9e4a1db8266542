"""The states of one alert instance held against the faults: inactive before, pending and firing in time, gone after."""

from __future__ import annotations

from collections.abc import Iterator

from harness.checks.bounds import AlertBounds
from harness.checks.case import CLOCK_SLACK_S, Case
from harness.checks.window import AlertHistory, StateChange
from harness.model import CheckResult, Event, Verdict
from harness.spec import AlertSpec


def inactive_before(case: Case, history: AlertHistory) -> CheckResult:
    """That it was inactive when the first fault went in."""
    injected = case.window.faults("injecting")
    at_s = injected[0].t_s if injected else case.window.begin_s
    before = history.state_at(at_s)
    if before is None or before.state == "inactive":
        return case.result("inactive before", Verdict.PASS, None, None, "inactive when the fault went in", ())
    summary = f"was already {before.state} when the fault went in"
    return case.result("inactive before", Verdict.FAIL, None, None, summary, (before.seq,))


def becoming(
    case: Case, history: AlertHistory, firing: StateChange, rule: AlertSpec, bounds: AlertBounds
) -> tuple[StateChange, Iterator[CheckResult]]:
    """When its condition became true, and the results on that and on the time until it fired.

    A rule with a ``for`` enters pending first, without a pause in between; where that was not seen, the start is
    not known.
    """
    before = [change for change in history.changes if change.at_s < firing.at_s]
    pending = before[-1] if before and before[-1].state == "pending" else None
    true = pending or firing
    return true, iter((_true_in_time(case, true, bounds), _fired_in_time(case, firing, pending, rule, bounds)))


def _true_in_time(case: Case, true: StateChange, bounds: AlertBounds) -> CheckResult:
    """The delay from the fault's effect to the condition. It may be true before the effect is read back: no delay."""
    begun = _begun(case)
    without = case.window.faults_without("effect")
    if without or not begun:
        named = f" of {', '.join(without)}" if without else ""
        summary = f"no effect{named} was seen, so nothing says when the condition should have become true"
        return case.result("pending", Verdict.UNKNOWN, None, bounds.condition_s, summary, (true.seq,))
    seen = next((effect for began_s, effect in reversed(begun) if began_s <= true.at_s), begun[0][1])
    delay_s = max(0.0, true.at_s - seen.t_s)
    return case.within(
        "pending", delay_s, bounds.condition_s, "after the fault's effect was seen", (seen.seq, true.seq)
    )


def _begun(case: Case) -> list[tuple[float, Event]]:
    """When each fault that took effect began to be put in, and what shows its effect, in their order.

    An effect may take long to be read, and an alert be the first to tell of it.
    """
    faults = [seen for seen in case.window.faults_by_name().values() if "effect" in seen]
    begun = [(seen.get("injecting", seen["effect"]).t_s, seen["effect"]) for seen in faults]
    return sorted(begun, key=lambda each: each[0])


def _fired_in_time(
    case: Case, firing: StateChange, pending: StateChange | None, rule: AlertSpec, bounds: AlertBounds
) -> CheckResult:
    if rule.for_s > 0 and pending is None:
        summary = "fired without having been seen pending"
        return case.result("firing", Verdict.UNKNOWN, None, bounds.firing_s, summary, (firing.seq,))
    true = pending or firing
    evidence = (true.seq, firing.seq)
    waited_s = firing.at_s - true.at_s
    if waited_s < bounds.earliest_firing_s - CLOCK_SLACK_S:
        earliest_s = bounds.earliest_firing_s
        summary = f"fired {waited_s:.2f} s after its condition became true, its `for` is {earliest_s:g} s"
        return case.result("firing", Verdict.FAIL, waited_s, earliest_s, summary, evidence)
    return case.within("firing", waited_s, bounds.firing_s, "after its condition became true", evidence)


def ending(
    case: Case, history: AlertHistory, firing: StateChange, bounds: AlertBounds
) -> tuple[StateChange | None, CheckResult]:
    """When it became inactive, None if it did not, and the result: after the fault was gone, in time, for good."""
    limit_s = bounds.inactive_s
    inactive = history.first("inactive", since_s=firing.at_s, until_s=case.window.end_s)
    if inactive is None:
        return None, case.result("resolved", Verdict.FAIL, None, limit_s, "did not resolve", (firing.seq,))
    again = _fired_again(case, history, inactive)
    if again is not None:
        summary = f"resolved, but fired again {again.at_s - inactive.at_s:.2f} s later"
        return inactive, case.result("resolved", Verdict.FAIL, None, limit_s, summary, (inactive.seq, again.seq))
    gone, staying = _faults_gone(case)
    if staying:
        summary = f"resolved, but {', '.join(staying)} was never seen gone: nothing says when it should have"
        return inactive, case.result("resolved", Verdict.UNKNOWN, None, limit_s, summary, (inactive.seq,))
    over = [last for first, last in gone if first.t_s <= inactive.at_s + CLOCK_SLACK_S]
    if not gone:
        summary = "resolved, but nothing shows a fault that came and went"
        return inactive, case.result("resolved", Verdict.UNKNOWN, None, limit_s, summary, (inactive.seq,))
    if not over:
        summary = "resolved while the fault was still in"
        return inactive, case.result("resolved", Verdict.FAIL, None, limit_s, summary, (inactive.seq,))
    took_s = max(0.0, inactive.at_s - max(event.t_s for event in over))
    evidence = (*dict.fromkeys(event.seq for span in gone for event in span), inactive.seq)
    return inactive, case.within("resolved", took_s, limit_s, "after the fault was gone", evidence)


def _fired_again(case: Case, history: AlertHistory, inactive: StateChange) -> StateChange | None:
    """A later firing that no further fault explains, or that lasts to the end."""
    begun = _begun(case)
    later = [
        change
        for change in history.changes
        if change.state == "firing" and inactive.at_s < change.at_s < case.window.end_s
    ]
    for change in later:
        if not any(inactive.at_s < effect.t_s and began_s <= change.at_s for began_s, effect in begun):
            return change
    last = history.state_at(case.window.end_s)
    return later[-1] if later and last is not None and last.state == "firing" else None


def _faults_gone(case: Case) -> tuple[list[tuple[Event, Event]], list[str]]:
    """What shows that each fault begins to go and that it is gone, and the names of those that stayed.

    In between an alert may resolve already: of two pods one is whole first. One without an undo is over with its
    effect.
    """
    gone: list[tuple[Event, Event]] = []
    staying = []
    for name, seen in case.window.faults_by_name().items():
        if "undo-failed" in seen or "not-cleared" in seen:
            staying.append(name)
        elif "undone" in seen or "cleared" in seen:
            signs = [seen[status] for status in ("undoing", "undone", "cleared") if status in seen]
            gone.append((signs[0], signs[-1]))
        elif "injected" in seen and seen["injected"].data.get("undoable"):
            staying.append(name)
        elif "effect" in seen:
            gone.append((seen["effect"], seen["effect"]))
    return gone, staying
