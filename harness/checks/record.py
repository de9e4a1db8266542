"""Whether the record can carry a verdict at all: no source away, every rule evaluated without a pause."""

from __future__ import annotations

from collections.abc import Iterator

from harness.checks.window import Window, finite
from harness.model import CheckResult, Event, Spec, Verdict

# A rule group that was not evaluated for this many of its intervals was not watching.
_MISSED_EVALUATIONS = 4
# An evaluated group is written down about every second; less than this between two entries shows nothing.
_RECORDING_S = 2.5


# What a run writes down by itself; a window without any of it was not watched by anybody.
_OBSERVED = frozenset({"evaluation", "target", "rule", "notice", "load", "pod", "sample"})


def check_record(window: Window, spec: Spec) -> Iterator[CheckResult]:
    """One result for the sources of evidence and one for the evaluation of the rules."""
    check = "record: complete"
    gaps = list(window.of_kind("gap"))
    if gaps:
        named = sorted({f"{event.name} ({event.data.get('error')})" for event in gaps})
        summary = f"could not be read for a while: {'; '.join(named)}"
        yield _result(window, check, Verdict.UNKNOWN, len(gaps), summary, gaps)
    elif not any(event.kind in _OBSERVED and window.begin_s <= event.t_s < window.end_s for event in window.events):
        yield _result(window, check, Verdict.UNKNOWN, None, "nothing was recorded at all", ())
    else:
        yield _result(window, check, Verdict.PASS, 0, "every source answered throughout", ())
    yield _evaluated(window, spec)
    yield _delivered(window)


def _delivered(window: Window) -> CheckResult:
    """That no Alertmanager says it gave up on a notification: of several integrations each has to work."""
    failed = list(window.of_kind("undelivered"))
    check = "notifications: none lost"
    if failed:
        named = sorted({f"{event.name} ({event.data['alertmanager']})" for event in failed})
        count = sum(float(event.data["failed"]) for event in failed)
        summary = f"Alertmanager could not deliver by {', '.join(named)}"
        return _result(window, check, Verdict.FAIL, count, summary, failed)
    if not list(window.of_kind("evaluation")):
        return _result(window, check, Verdict.UNKNOWN, None, "nothing was recorded", ())
    return _result(window, check, Verdict.PASS, 0, "no Alertmanager reports a notification it could not deliver", ())


def _evaluated(window: Window, spec: Spec) -> CheckResult:
    check = "record: rules evaluated"
    groups = sorted({alert.group for alert in spec.alerts})
    absent = [group for group in groups if not any(map(_was_evaluated, window.of_kind("evaluation", group)))]
    broken = [event for group in groups for event in window.of_kind("evaluation", group) if _is_broken(event)]
    paused = [event for group in groups for event in _pauses(window, group)]
    if broken:
        summary = f"{broken[0].name}: {broken[0].data.get('error')}"
        return _result(window, check, Verdict.FAIL, len(broken), summary, broken)
    if absent or not groups:
        what = f"nothing seen of {', '.join(absent)}" if groups else "the stack has no alert rules"
        return _result(window, check, Verdict.UNKNOWN, None, what, ())
    if paused:
        summary = f"evaluations paused: {', '.join(sorted({event.name for event in paused}))}"
        return _result(window, check, Verdict.UNKNOWN, len(paused), summary, paused)
    return _result(window, check, Verdict.PASS, 0, "every rule group was evaluated throughout, without errors", ())


def _pauses(window: Window, group: str) -> Iterator[Event]:
    """The entries before or after which the group was not evaluated for too long, anywhere in the window."""
    entries = [event for event in window.of_kind("evaluation", group) if _was_evaluated(event)]
    if not entries:
        return
    times_s = [window.begin_s, *(float(event.data["last_s"]) for event in entries), window.end_s]
    shown = [*entries, entries[-1]]
    for earlier_s, later_s, event in zip(times_s, times_s[1:], shown, strict=False):
        allowed_s = _MISSED_EVALUATIONS * float(event.data["interval_s"]) + _RECORDING_S
        if later_s - earlier_s > allowed_s:
            yield event


def _was_evaluated(event: Event) -> bool:
    return event.data["health"] != "unknown" and finite(event.data.get("last_s")) is not None


def _is_broken(event: Event) -> bool:
    return bool(event.data["health"] == "err")


def _result(
    window: Window, check: str, verdict: Verdict, measured: float | None, summary: str, events: list[Event] | tuple[()]
) -> CheckResult:
    evidence = tuple(event.seq for event in events)[:20]
    return CheckResult(window.name, check, verdict, measured, 0, "events", summary, evidence)
