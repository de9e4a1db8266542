"""How often pods were restarted."""

from __future__ import annotations

from harness.checks.window import Window
from harness.model import CheckResult, Expectation, Verdict


def check_restarts(expectation: Expectation, window: Window) -> CheckResult:
    """That the workload's pods were started again exactly as often as expected, and run at the end."""
    workload, expected = str(expectation.params["workload"]), int(expectation.params["count"])
    events = [event for event in window.of_kind("pod") if workload in (event.data["workload"], event.name)]
    started = [event for event in events if event.data["status"] == "started"]
    last = {event.name: event for event in events}
    down = [name for name, event in last.items() if event.data["status"] != "started"]
    verdict = Verdict.PASS if len(started) == expected and not down else Verdict.FAIL
    summary = f"restarted {len(started)} times, expected {expected}"
    if down:
        summary += f"; not running at the end: {', '.join(sorted(down))}"
    evidence = tuple(event.seq for event in events)
    check = f"pod {workload}: restarted"
    return CheckResult(window.name, check, verdict, len(started), expected, "restarts", summary, evidence)
