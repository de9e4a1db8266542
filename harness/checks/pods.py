"""How often pods were restarted."""

from __future__ import annotations

from harness.checks.window import Window
from harness.model import CheckResult, Expectation, Verdict


def check_restarts(expectation: Expectation, window: Window) -> CheckResult:
    """That the workload's pods were started again exactly as often as expected, and run at the end.

    UNKNOWN while the environment could not be asked, or when nothing at all was recorded.
    """
    workload, expected = str(expectation.params["workload"]), int(expectation.params["count"])
    events = [event for event in window.of_kind("pod") if workload in (event.data["workload"], event.name)]
    started = [event for event in events if event.data["status"] == "started"]
    last = {(event.name, event.data.get("container")): event for event in events}
    down = sorted({event.name for event in last.values() if event.data["status"] != "started"})
    gaps = list(window.of_kind("gap", "pods"))
    verdict = Verdict.PASS if len(started) == expected and not down else Verdict.FAIL
    summary = f"restarted {len(started)} times, expected {expected}"
    if down:
        summary += f"; not running at the end: {', '.join(down)}"
    if gaps:
        verdict, summary = Verdict.UNKNOWN, f"{summary}; pods could not be listed for a while"
    elif not events and not any(window.of_kind("evaluation")):
        verdict, summary = Verdict.UNKNOWN, "nothing was recorded at all"
    evidence = tuple(event.seq for event in (*events, *gaps[:1]))
    check = f"pod {workload}: restarted"
    return CheckResult(window.name, check, verdict, len(started), expected, "restarts", summary, evidence)
