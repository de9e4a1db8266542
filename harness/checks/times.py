"""How often an alert came to a state."""

from __future__ import annotations

from harness.checks.case import is_expected
from harness.checks.window import Window, alert_histories
from harness.model import CheckResult, Expectation, Verdict


def check_times(expectation: Expectation, window: Window) -> CheckResult:
    """That the alert's instances entered the state exactly as often as expected, all instances together.

    Too few is UNKNOWN while Prometheus could not be read, or when nothing shows that rules were evaluated.
    """
    alert, state = str(expectation.params["alert"]), str(expectation.params["state"])
    expected = int(expectation.params["times"])
    entered = [
        change
        for history in alert_histories(window.events)
        if is_expected(expectation, history.labels)
        for change in history.changes
        if change.state == state and window.begin_s <= change.at_s < window.end_s
    ]
    blind = bool(list(window.of_kind("gap", "prometheus"))) or not list(window.of_kind("evaluation"))
    if len(entered) == expected:
        verdict = Verdict.PASS
    else:
        verdict = Verdict.UNKNOWN if blind and len(entered) < expected else Verdict.FAIL
    summary = f"was {state} {len(entered)} times, expected {expected}"
    evidence = tuple(change.seq for change in entered)
    return CheckResult(
        window.name, f"alert {alert}: times {state}", verdict, len(entered), expected, "times", summary, evidence
    )
