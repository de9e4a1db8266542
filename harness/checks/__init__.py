"""Verdicts: pure functions of the timeline and of what the stack says of itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from harness.checks.alerts import check_alert, check_quiet
from harness.checks.baseline import check_baseline
from harness.checks.coverage import alerts_proved, coverage
from harness.checks.faults import check_faults, check_method
from harness.checks.heartbeat import check_silence
from harness.checks.load import check_load
from harness.checks.muting import check_muted
from harness.checks.pods import check_restarts, check_undisturbed
from harness.checks.record import blind_span, check_record
from harness.checks.startup import STARTUP, check_startup
from harness.checks.times import check_times
from harness.checks.window import Window, windows
from harness.model import CheckResult, Event, Expectation, Experiment, Verdict
from harness.spec import AlertSpec, Spec

BASELINE = "baseline"


def check_run(
    events: Sequence[Event], experiments: Sequence[Experiment], spec: Spec, *, time_scale: float
) -> tuple[CheckResult, ...]:
    """Every check of a run, in the order of its phases. A phase that never began is UNKNOWN."""
    results = [*check_startup(events), *check_phase(events, BASELINE, None, spec, time_scale=time_scale)]
    for experiment in experiments:
        results += check_phase(events, experiment.name, experiment, spec, time_scale=time_scale)
    return tuple(results)


def check_phase(
    events: Sequence[Event], phase: str, experiment: Experiment | None, spec: Spec, *, time_scale: float
) -> tuple[CheckResult, ...]:
    """Every check of one phase: of an experiment, or without one of the baseline.

    An alert that cannot be compressed says nothing at this time scale: it may fire, and proves nothing.
    """
    window = windows(events).get(phase)
    if window is None:
        reasons = {e.data["experiment"]: e.data["reason"] for e in events if (e.kind, e.name) == ("note", "not run")}
        return (_not_run(phase, reasons.get(phase)),)
    excused = tuple(alert.name for alert in incompressible_alerts(spec, time_scale=time_scale))
    if experiment is None:
        results = check_baseline(window, spec, allowed=excused, time_scale=time_scale)
    else:
        experiment = replace(experiment, allowed_alerts=(*experiment.allowed_alerts, *excused))
        results = check_experiment(experiment, window, spec, time_scale=time_scale)
    return (*_cut(window, results), *([_not_finished(window)] if window.interrupted else []))


def check_experiment(experiment: Experiment, window: Window, spec: Spec, *, time_scale: float) -> Iterator[CheckResult]:
    """Every check of one experiment."""
    alerts = [each for each in experiment.expectations if each.kind in ("alert", "muted")]
    yield from check_method(experiment, window)
    yield from check_faults(experiment, window)
    for expectation in experiment.expectations:
        yield from _check(expectation, window, spec, time_scale)
    yield check_quiet(window, spec, expected=alerts, allowed=experiment.allowed_alerts)
    restarts = [each for each in experiment.expectations if each.kind == "restarts"]
    yield check_undisturbed(window, expected=restarts)
    meant = any(each.kind == "silence" for each in experiment.expectations)
    yield from check_record(window, spec, blind=blind_span(window) if meant else None)


def incompressible_alerts(spec: Spec, *, time_scale: float) -> tuple[AlertSpec, ...]:
    """The alerts whose expressions mean something else at this time scale than at 1."""
    return tuple(alert for alert in spec.alerts if alert.incompressible) if time_scale != 1 else ()


def _check(expectation: Expectation, window: Window, spec: Spec, time_scale: float) -> list[CheckResult]:
    if expectation.kind == "alert":
        return check_alert(expectation, window, spec, time_scale=time_scale)
    if expectation.kind == "load":
        return check_load(expectation, window, time_scale=time_scale)
    if expectation.kind == "times":
        return [check_times(expectation, window)]
    if expectation.kind == "muted":
        return list(check_muted(expectation, window, spec, time_scale=time_scale))
    if expectation.kind == "silence":
        return list(check_silence(expectation, window, spec, time_scale=time_scale))
    if expectation.kind == "restarts":
        return [check_restarts(expectation, window)]
    if expectation.kind == "quiet":
        return []  # an experiment that expects no alert is judged by what fired beside it, as every experiment is
    raise ValueError(f"no check for an expectation of kind {expectation.kind!r}")


def _cut(window: Window, results: Iterable[CheckResult]) -> Iterable[CheckResult]:
    return map(_cut_short, results) if window.interrupted else results


def _cut_short(result: CheckResult) -> CheckResult:
    """A run that was interrupted cannot fail by what had no time to happen."""
    happened = result.measured is not None and not result.check.startswith("pod ")
    if result.verdict is not Verdict.FAIL or happened:
        return result
    return replace(result, verdict=Verdict.UNKNOWN, summary=f"interrupted before it could be seen: {result.summary}")


def _not_run(name: str, reason: str | None = None) -> CheckResult:
    summary = f"was not run: {reason}" if reason else "was not run"
    return CheckResult(name, "run", Verdict.UNKNOWN, None, None, "", summary, ())


def _not_finished(window: Window) -> CheckResult:
    """What passed up to an interruption says nothing of what would have come after it."""
    return CheckResult(window.name, "run", Verdict.UNKNOWN, None, None, "", "was not finished", ())


__all__ = [
    "BASELINE",
    "STARTUP",
    "alerts_proved",
    "check_experiment",
    "check_phase",
    "check_run",
    "coverage",
    "incompressible_alerts",
]
