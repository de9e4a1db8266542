"""That nothing fires which nobody expects."""

from __future__ import annotations

from collections.abc import Sequence

from harness.checks.case import is_expected, labels_text
from harness.checks.window import AlertHistory, StateChange, Window, alert_histories
from harness.model import CheckResult, Expectation, Verdict
from harness.spec import Spec


def check_quiet(window: Window, spec: Spec, *, expected: Sequence[Expectation], allowed: Sequence[str]) -> CheckResult:
    """That nothing fired but what was expected, what may fire, and heartbeats.

    An instance whose labels differ from those an expectation names was not expected. An alert that was already firing
    when the window opened says nothing about this experiment, nor does a window without evaluations: UNKNOWN.
    """
    fine = set(allowed) | heartbeats(spec)
    before, during = [], []
    for history in alert_histories(window.events):
        if history.name in fine or any(is_expected(each, history.labels) for each in expected):
            continue
        at_begin = history.state_at(window.begin_s)
        if at_begin is not None and at_begin.state == "firing":
            before.append((history, at_begin))
        firing = history.first("firing", since_s=window.begin_s, until_s=window.end_s)
        if firing is not None:
            during.append((history, firing))
    evidence = tuple(change.seq for _, change in (*during, *before))
    if during:
        return _quiet(window, Verdict.FAIL, len(during), f"fired: {_names(during)}", evidence)
    if before:
        return _quiet(window, Verdict.UNKNOWN, len(before), f"firing since before: {_names(before)}", evidence)
    if not any(event.data["health"] != "unknown" for event in window.of_kind("evaluation")):
        return _quiet(window, Verdict.UNKNOWN, None, "nothing shows that any rule was evaluated", ())
    return _quiet(window, Verdict.PASS, 0, "no other alert fired", ())


def heartbeats(spec: Spec) -> set[str]:
    """The alerts that always fire by design."""
    return {alert.name for alert in spec.alerts if alert.is_heartbeat}


def _quiet(window: Window, verdict: Verdict, count: int | None, summary: str, evidence: tuple[int, ...]) -> CheckResult:
    return CheckResult(window.name, "nothing else fired", verdict, count, 0, "alerts", summary, evidence)


def _names(found: Sequence[tuple[AlertHistory, StateChange]]) -> str:
    return ", ".join(sorted(f"{history.name}{labels_text(history.labels)}" for history, _ in found))
