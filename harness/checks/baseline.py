"""The quiet phase before any fault: nothing fires, and what should always be seen is seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from harness.checks.pods import check_undisturbed
from harness.checks.quiet import check_quiet, heartbeats
from harness.checks.record import check_record
from harness.checks.window import Window, alert_histories
from harness.model import CheckResult, Event, Verdict
from harness.spec import Spec

# What Prometheus says of a scrape that took longer than its timeout (net/http and context of Go's library).
_TIMED_OUT = ("deadline exceeded", "Timeout exceeded")


def check_baseline(
    window: Window, spec: Spec, *, allowed: Sequence[str] = (), time_scale: float
) -> Iterator[CheckResult]:
    """That no alert fires, every target answers, every heartbeat reaches its receiver, and the record is whole."""
    yield check_quiet(window, spec, expected=(), allowed=allowed)
    yield _targets(window, time_scale)
    for alert in sorted(heartbeats(spec)):
        yield _heartbeat(window, spec, alert)
    yield check_undisturbed(window, disturbed=False)
    yield from check_record(window, spec)


def _targets(window: Window, time_scale: float) -> CheckResult:
    """Prometheus's own view of the targets that it has at the end of the window.

    One that was not scraped yet was not seen, and one that is no longer discovered is none. One that did not answer in
    the time a compressed scrape interval leaves was not seen either: with the stack's own timeout it may be up.
    """
    last = {(e.name, e.data["instance"]): e for e in window.events if e.kind == "target" and e.t_s < window.end_s}
    had = {key: event for key, event in sorted(last.items()) if event.data["health"] != "gone"}
    unseen = {key: event for key, event in had.items() if event.data["health"] == "unknown"}
    late = {key: event for key, event in had.items() if time_scale != 1 and _timed_out(event)}
    seen = {key: event for key, event in had.items() if key not in unseen.keys() | late.keys()}
    down = {key: event for key, event in seen.items() if event.data["health"] != "up"}
    if down:
        named = (f"{pool} {instance}: {event.data.get('error')}" for (pool, instance), event in down.items())
        summary, verdict = f"down: {'; '.join(named)}", Verdict.FAIL
    elif late:
        named = (f"{pool} {instance}" for pool, instance in late)
        why = f"no answer in the time that time scale {time_scale:g} leaves a scrape; a smaller one leaves more"
        summary, verdict = f"{why}: {'; '.join(named)}", Verdict.UNKNOWN
    elif unseen:
        named = (f"{pool} {instance}" for pool, instance in unseen)
        summary, verdict = f"not scraped yet: {'; '.join(named)}", Verdict.UNKNOWN
    elif not had:
        summary, verdict = "Prometheus has no targets", Verdict.UNKNOWN
    else:
        summary, verdict = f"all {len(had)} targets answer", Verdict.PASS
    evidence = tuple(event.seq for event in (down or late or unseen).values())
    return CheckResult(window.name, "targets: up", verdict, len(down), 0, "targets down", summary, evidence)


def _timed_out(event: Event) -> bool:
    return event.data["health"] == "down" and any(each in str(event.data.get("error")) for each in _TIMED_OUT)


def _heartbeat(window: Window, spec: Spec, alert: str) -> CheckResult:
    """It fires at the end of the window, and each receiver its labels route to has been told so."""
    firing = [
        (history, change)
        for history in alert_histories(window.events)
        if history.name == alert and (change := history.state_at(window.end_s)) is not None and change.state == "firing"
    ]
    if not firing:
        watched = any(event.data["health"] != "unknown" for event in window.of_kind("evaluation"))
        summary = "does not fire, but always should" if watched else "nothing shows that its rule was evaluated"
        return _beat(window, alert, Verdict.FAIL if watched else Verdict.UNKNOWN, summary, ())
    history, change = firing[0]
    wanted = {route.receiver for route in spec.route.resolve(history.labels)} if spec.route is not None else set()
    notices = {event.name: event for event in reversed(window.events) if _tells(event, history.labels, window.end_s)}
    mute = sorted(receiver.name for receiver in spec.receivers if not receiver.integrations and receiver.name in wanted)
    if mute:
        summary = f"fires, but is routed to {', '.join(mute)}, which has no integrations: nobody would miss it"
        return _beat(window, alert, Verdict.FAIL, summary, (change.seq,))
    missing = sorted(wanted - notices.keys())
    if missing or not wanted:
        gaps = tuple(event.seq for event in window.events if event.kind == "gap" and event.name == "receiver")
        summary = f"fires, but has not reached {', '.join(missing) or 'any receiver'}"
        if notices:
            summary += f"; it reached {', '.join(sorted(notices))}"
        return _beat(window, alert, Verdict.UNKNOWN if gaps else Verdict.FAIL, summary, (change.seq, *gaps[:1]))
    evidence = (change.seq, *(notices[receiver].seq for receiver in wanted))
    return _beat(window, alert, Verdict.PASS, f"fires and reaches {', '.join(sorted(wanted))}", evidence)


def _tells(event: Event, labels: Mapping[str, str], until_s: float) -> bool:
    if event.kind != "notice" or event.t_s >= until_s:
        return False
    return bool(event.data["labels"] == labels and event.data["status"] == "firing")


def _beat(window: Window, alert: str, verdict: Verdict, summary: str, evidence: tuple[int, ...]) -> CheckResult:
    check = f"alert {alert}: heartbeat"
    return CheckResult(window.name, check, verdict, None, None, "", summary, tuple(sorted(evidence)))
