"""The quiet phase before any fault: nothing fires, and what should always be seen is seen."""

from __future__ import annotations

from collections.abc import Iterator

from harness.checks.alerts import check_quiet, heartbeats
from harness.checks.record import check_record
from harness.checks.window import Window, alert_histories
from harness.model import CheckResult, Spec, Verdict


def check_baseline(window: Window, spec: Spec) -> Iterator[CheckResult]:
    """That no alert fires, every target answers, every heartbeat reaches its receiver, and the record is whole."""
    yield check_quiet(window, spec, expected=(), allowed=())
    yield _targets(window)
    for alert in sorted(heartbeats(spec)):
        yield _heartbeat(window, spec, alert)
    yield from check_record(window, spec)


def _targets(window: Window) -> CheckResult:
    """Prometheus's own view of its targets at the end of the window."""
    last = {(e.name, e.data["instance"]): e for e in window.events if e.kind == "target" and e.t_s < window.end_s}
    down = {key: event for key, event in last.items() if event.data["health"] != "up"}
    evidence = tuple(event.seq for event in down.values())
    if not last:
        summary, verdict = "Prometheus has no targets", Verdict.UNKNOWN
    elif down:
        named = (f"{pool} {instance}: {event.data['error']}" for (pool, instance), event in sorted(down.items()))
        summary, verdict = f"down: {'; '.join(named)}", Verdict.FAIL
    else:
        summary, verdict = f"all {len(last)} targets answer", Verdict.PASS
    return CheckResult(window.name, "targets: up", verdict, len(down), 0, "targets down", summary, evidence)


def _heartbeat(window: Window, spec: Spec, alert: str) -> CheckResult:
    check = f"alert {alert}: heartbeat"
    firing = [
        change
        for history in alert_histories(window.events)
        if history.name == alert and (change := history.state_at(window.end_s)) is not None and change.state == "firing"
    ]
    if not firing:
        return CheckResult(window.name, check, Verdict.FAIL, None, None, "", "does not fire, but always should", ())
    notices = [e for e in window.events if e.kind == "notice" and e.data["alertname"] == alert and e.t_s < window.end_s]
    if not notices:
        evidence = (firing[0].seq,)
        summary = "fires, but has reached no receiver"
        return CheckResult(window.name, check, Verdict.FAIL, None, None, "", summary, evidence)
    summary = f"fires and reaches {', '.join(sorted({event.name for event in notices}))}"
    return CheckResult(window.name, check, Verdict.PASS, None, None, "", summary, (firing[0].seq, notices[0].seq))
