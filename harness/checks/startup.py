"""Whether the stack came up at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.checks.window import finite
from harness.model import CheckResult, Event, Verdict

STARTUP = "startup"


def check_startup(events: Sequence[Event]) -> Iterator[CheckResult]:
    """That every pod became ready; no result where the run ended before that was seen: its phases are UNKNOWN then."""
    for event in events:
        if (event.kind, event.name) == ("run", "not ready"):
            pods = event.data["pods"]
            named = "; ".join(f"{name}: {why}" for name, why in sorted(pods.items()))
            yield _ready(event, Verdict.FAIL, len(pods), f"not ready after {event.data['waited_s']:g} s: {named}")
        elif (event.kind, event.name) == ("run", "started"):
            ready_s = finite(event.data.get("ready_s"))
            took = "" if ready_s is None else f" after {ready_s:.1f} s"
            yield _ready(event, Verdict.PASS, 0, f"every pod was ready{took}")


def _ready(event: Event, verdict: Verdict, unready: int, summary: str) -> CheckResult:
    return CheckResult(STARTUP, "stack: ready", verdict, unready, 0, "pods not ready", summary, (event.seq,))
