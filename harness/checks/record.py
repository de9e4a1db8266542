"""Whether the record can carry a verdict at all: no source away, every rule evaluated without a pause."""

from __future__ import annotations

from collections.abc import Iterator

from harness.checks.window import Window, finite
from harness.model import CheckResult, Event, Verdict
from harness.spec import Spec

Span = tuple[float, float]

# A Prometheus that comes back reads its data and waits for its first evaluation; real time.
_RETURN_S = 10.0
# A rule group that was not evaluated for this many of its intervals was not watching.
_MISSED_EVALUATIONS = 4
# An evaluated group is written down about every second; less than this between two entries shows nothing.
_RECORDING_S = 2.5


# What a run writes down by itself; a window without any of it was not watched by anybody.
_OBSERVED = frozenset({"evaluation", "target", "rule", "notice", "load", "pod", "sample"})


def check_record(window: Window, spec: Spec, *, blind: Span | None = None) -> Iterator[CheckResult]:
    """One result for the sources of evidence and one for the evaluation of the rules.

    ``blind``: while a fault kept Prometheus itself away and the experiment said that it would, its absence is no hole.
    """
    check = "record: complete"
    gaps = [event for event in window.of_kind("gap") if not (event.name == "prometheus" and _lies_in(event, blind))]
    if gaps:
        named = sorted({f"{event.name} ({event.data.get('error')})" for event in gaps})
        summary = f"could not be read for a while: {'; '.join(named)}"
        yield _result(window, check, Verdict.UNKNOWN, len(gaps), summary, gaps)
    elif not any(event.kind in _OBSERVED and window.begin_s <= event.t_s < window.end_s for event in window.events):
        yield _result(window, check, Verdict.UNKNOWN, None, "nothing was recorded at all", ())
    else:
        yield _result(window, check, Verdict.PASS, 0, "every source answered throughout", ())
    yield _evaluated(window, spec, blind)
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


def blind_span(window: Window) -> Span | None:
    """From when to when the window's faults kept the Prometheus away that the run's evidence comes from."""
    started = next((event for event in window.events if (event.kind, event.name) == ("run", "started")), None)
    pod = started.data.get("prometheus_pod") if started is not None else None
    aimed = [event for event in window.of_kind("fault") if pod is not None and event.data.get("target") == pod]
    names = {event.name for event in aimed}
    ended = [event for event in window.faults("cleared") if event.name in names]
    if not aimed or not ended:
        return None
    return aimed[0].t_s - _RECORDING_S, ended[-1].t_s + _RETURN_S


def _lies_in(gap: Event, blind: Span | None) -> bool:
    from_s, to_s = finite(gap.data.get("from_s")), finite(gap.data.get("to_s"))
    return blind is not None and from_s is not None and to_s is not None and blind[0] <= from_s and to_s <= blind[1]


def _evaluated(window: Window, spec: Spec, blind: Span | None) -> CheckResult:
    check = "record: rules evaluated"
    groups = sorted({alert.group for alert in spec.alerts})
    absent = [group for group in groups if not any(map(_was_evaluated, window.of_kind("evaluation", group)))]
    broken = [event for group in groups for event in window.of_kind("evaluation", group) if _is_broken(event)]
    paused = [event for group in groups for event in _pauses(window, group, blind)]
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


def _pauses(window: Window, group: str, blind: Span | None) -> Iterator[Event]:
    """The entries before or after which the group was not evaluated for too long, anywhere in the window."""
    entries = [event for event in window.of_kind("evaluation", group) if _was_evaluated(event)]
    if not entries:
        return
    times_s = [window.begin_s, *(float(event.data["last_s"]) for event in entries), window.end_s]
    shown = [*entries, entries[-1]]
    for earlier_s, later_s, event in zip(times_s, times_s[1:], shown, strict=False):
        allowed_s = _MISSED_EVALUATIONS * float(event.data["interval_s"]) + _RECORDING_S
        meant = blind is not None and blind[0] <= earlier_s and later_s <= blind[1]
        if later_s - earlier_s > allowed_s and not meant:
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
