"""Whether the faults were there at all: one that did nothing proves nothing."""

from __future__ import annotations

from collections.abc import Iterator

from harness.checks.window import Window
from harness.model import CheckResult, Experiment, Verdict


def check_faults(experiment: Experiment, window: Window) -> Iterator[CheckResult]:
    """For each fault the experiment names: its effect was seen, and seen gone again.

    A fault without effect, or never injected, is UNKNOWN: nothing was tested. A fault that stayed in is a FAIL.
    """
    by_fault: dict[str, dict[str, int]] = {}
    texts: dict[tuple[str, str], str] = {}
    for event in window.of_kind("fault"):
        status = str(event.data["status"])
        by_fault.setdefault(event.name, {})[status] = event.seq
        texts[event.name, status] = str(event.data.get("observed", ""))
    missing = len(experiment.faults) - len(by_fault)
    if missing > 0:
        summary = f"{missing} of {len(experiment.faults)} faults were never injected"
        yield _result(window, "faults: injected", Verdict.UNKNOWN, summary, ())
    for name, seen in by_fault.items():
        kind = name.partition("#")[0]
        if "effect" in seen:
            yield _result(window, f"fault {kind}: took effect", Verdict.PASS, texts[name, "effect"], (seen["effect"],))
        else:
            summary = f"no effect was seen: {texts.get((name, 'no-effect'), 'it was not put in')}"
            yield _result(window, f"fault {kind}: took effect", Verdict.UNKNOWN, summary, tuple(seen.values()))
        for status, verdict in (
            ("undo-failed", Verdict.FAIL),
            ("not-cleared", Verdict.FAIL),
            ("cleared", Verdict.PASS),
        ):
            if status in seen:
                summary = texts[name, status]
                yield _result(window, f"fault {kind}: undone", verdict, summary, (seen[status],))
                break


def check_method(experiment: Experiment, window: Window) -> Iterator[CheckResult]:
    """Activities of the method or of the rollbacks that failed: what follows a failed activity proves nothing."""
    for event in window.of_kind("note", "activity failed"):
        summary = f"{event.data['activity']}: {event.data['error']}"
        yield _result(window, "method: carried out", Verdict.UNKNOWN, summary, (event.seq,))


def _result(window: Window, check: str, verdict: Verdict, summary: str, evidence: tuple[int, ...]) -> CheckResult:
    return CheckResult(window.name, check, verdict, None, None, "", summary, tuple(sorted(evidence)))
