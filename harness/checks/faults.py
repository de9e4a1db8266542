"""Whether the faults were there at all: one that did nothing proves nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from harness.checks.window import Window
from harness.model import CheckResult, Event, Experiment, Verdict


def check_faults(experiment: Experiment, window: Window) -> Iterator[CheckResult]:
    """For each fault the experiment names: its effect was seen, and seen gone again.

    A fault without effect, or never injected, is UNKNOWN: nothing was tested. A fault that stayed in is a FAIL.
    """
    by_fault = window.faults_by_name()
    if not experiment.faults and not by_fault:
        summary = "the experiment names no fault of the harness: nothing shows what was disturbed"
        yield _result(window, "faults: injected", Verdict.UNKNOWN, summary, ())
    missing = len(experiment.faults) - len(by_fault)
    if missing > 0:
        summary = f"{missing} of {len(experiment.faults)} faults were never injected"
        yield _result(window, "faults: injected", Verdict.UNKNOWN, summary, ())
    for name, seen in by_fault.items():
        check = f"fault {name.partition('#')[0]}"
        if "effect" in seen:
            yield _result(
                window, f"{check}: took effect", Verdict.PASS, _observed(seen["effect"]), (seen["effect"].seq,)
            )
        else:
            why = _observed(seen["no-effect"]) if "no-effect" in seen else "it was not put in"
            evidence = tuple(event.seq for event in seen.values())
            yield _result(window, f"{check}: took effect", Verdict.UNKNOWN, f"no effect was seen: {why}", evidence)
        undone = _undone(seen)
        if undone is not None:
            verdict, summary, event = undone
            yield _result(window, f"{check}: undone", verdict, summary, (event.seq,))


def _undone(seen: Mapping[str, Event]) -> tuple[Verdict, str, Event] | None:
    """How it ended; None for a fault that passes by itself."""
    for status, verdict in (
        ("undo-failed", Verdict.FAIL),
        ("not-cleared", Verdict.FAIL),
        ("cleared", Verdict.PASS),
    ):
        if status in seen:
            return verdict, _observed(seen[status]), seen[status]
    if "undone" in seen:
        return Verdict.UNKNOWN, "was undone, but nothing shows that it is gone", seen["undone"]
    if "injected" in seen and seen["injected"].data.get("undoable"):
        return Verdict.UNKNOWN, "was still in when the experiment ended", seen["injected"]
    return None


def _observed(event: Event) -> str:
    return str(event.data.get("observed", ""))


def check_method(experiment: Experiment, window: Window) -> Iterator[CheckResult]:
    """Activities of the method or of the rollbacks that failed: what follows a failed activity proves nothing."""
    for event in window.of_kind("note", "activity failed"):
        summary = f"{event.data['activity']}: {event.data['error']}"
        yield _result(window, "method: carried out", Verdict.UNKNOWN, summary, (event.seq,))


def _result(window: Window, check: str, verdict: Verdict, summary: str, evidence: tuple[int, ...]) -> CheckResult:
    return CheckResult(window.name, check, verdict, None, None, "", summary, tuple(sorted(evidence)))
