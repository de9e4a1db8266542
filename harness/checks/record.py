"""Whether the record can carry a verdict at all: no source away, every rule evaluated without a pause."""

from __future__ import annotations

from collections.abc import Iterator

from harness.checks.window import Window
from harness.model import CheckResult, Event, Spec, Verdict

# A rule group that was not evaluated for this many of its intervals was not watching.
_MISSED_EVALUATIONS = 4
# An evaluated group is written down about every second; less than this between two entries shows nothing.
_RECORDING_S = 2.5


def check_record(window: Window, spec: Spec) -> Iterator[CheckResult]:
    """One result for the sources of evidence and one for the evaluation of the rules."""
    gaps = list(window.of_kind("gap"))
    if gaps:
        named = sorted({f"{event.name} ({event.data['error']})" for event in gaps})
        summary = f"could not be read for a while: {'; '.join(named)}"
        yield _result(window, "record: complete", Verdict.UNKNOWN, len(gaps), summary, gaps)
    else:
        yield _result(window, "record: complete", Verdict.PASS, 0, "every source answered throughout", ())
    yield _evaluated(window, spec)


def _evaluated(window: Window, spec: Spec) -> CheckResult:
    check = "record: rules evaluated"
    broken, paused, absent = [], [], []
    for group in sorted({alert.group for alert in spec.alerts}):
        entries = list(window.of_kind("evaluation", group))
        broken += [event for event in entries if event.data["health"] == "err"]
        if not entries:
            absent.append(group)
        paused += [later for earlier, later in zip(entries, entries[1:], strict=False) if _paused(earlier, later)]
    if broken:
        summary = f"{broken[0].name}: {broken[0].data['error']}"
        return _result(window, check, Verdict.FAIL, len(broken), summary, broken)
    if absent:
        return _result(window, check, Verdict.UNKNOWN, None, f"nothing seen of {', '.join(absent)}", ())
    if paused:
        summary = f"evaluations paused: {', '.join(sorted({event.name for event in paused}))}"
        return _result(window, check, Verdict.UNKNOWN, len(paused), summary, paused)
    return _result(window, check, Verdict.PASS, 0, "every rule group was evaluated throughout, without errors", ())


def _paused(earlier: Event, later: Event) -> bool:
    allowed_s = _MISSED_EVALUATIONS * float(later.data["interval_s"]) + _RECORDING_S
    return float(later.data["last_s"]) - float(earlier.data["last_s"]) > allowed_s


def _result(
    window: Window, check: str, verdict: Verdict, measured: float | None, summary: str, events: list[Event] | tuple[()]
) -> CheckResult:
    evidence = tuple(event.seq for event in events)[:20]
    return CheckResult(window.name, check, verdict, measured, 0, "events", summary, evidence)
