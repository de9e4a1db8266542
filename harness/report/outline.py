"""A result in the order it is told: an experiment at a time, and each alert's life in its stages."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from harness.model import CheckResult, Covered, Phase, RunResult, Verdict

# The phases of a run that are no experiments, in their order.
TITLES = {"startup": "The stack comes up", "baseline": "The quiet phase before any fault"}
STAGES = ("inactive before", "pending", "firing", "notified", "resolved", "resolution notified")
# Above this share of the time something waited for a processor the machine, not the stack, may be what was slow.
_BUSY = 0.5
WORST_FIRST = (Verdict.FAIL, Verdict.UNKNOWN, Verdict.PASS)

_ALERT = re.compile(r"alert (?P<name>.+): (?P<stage>[^:]+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class AlertLife:
    """What was seen of one alert in one experiment. ``stages`` goes with ``STAGES``; None: not checked."""

    alert: str
    stages: tuple[CheckResult | None, ...]

    @property
    def seen(self) -> int:
        """How many of the six stages passed."""
        return sum(stage is not None and stage.verdict is Verdict.PASS for stage in self.stages)

    @property
    def is_whole(self) -> bool:
        """Whether every stage was checked and passed."""
        return self.seen == len(STAGES)

    @property
    def claim(self) -> str:
        """In words how much of the life was seen."""
        return "whole life seen" if self.is_whole else f"{self.seen} of {len(STAGES)} stages seen"


@dataclass(frozen=True, slots=True)
class Section:
    """One experiment, or the baseline. ``phase`` is None when the run never came to it."""

    name: str
    title: str
    checks: tuple[CheckResult, ...]
    phase: Phase | None

    @property
    def verdict(self) -> Verdict:
        """The worst of its checks; UNKNOWN when there is none."""
        return Verdict.merge(check.verdict for check in self.checks)

    @property
    def duration_s(self) -> float | None:
        """Real seconds; None when it did not end or did not begin."""
        if self.phase is None or self.phase.end_s is None:
            return None
        return self.phase.end_s - self.phase.start_s

    @property
    def lives(self) -> tuple[AlertLife, ...]:
        """Each alert any of whose stages was checked, in the order of the checks."""
        return _lives(self.checks)


def sections(result: RunResult) -> tuple[Section, ...]:
    """Startup and baseline where they were reached, the experiments in their order, then any name the checks use."""
    phases = {phase.name: phase for phase in reversed(result.phases)}
    titles = {experiment.get("name", ""): experiment.get("title", "") for experiment in result.experiments}
    names = dict.fromkeys([*titles, *(check.experiment for check in result.results)])
    before = [name for name in TITLES if name in names or name in phases]
    names = dict.fromkeys([*before, *names])
    return tuple(
        Section(
            name=name,
            title=titles.get(name, TITLES.get(name, "")),
            checks=tuple(check for check in result.results if check.experiment == name),
            phase=phases.get(name),
        )
        for name in names
    )


def overall(result: RunResult) -> Verdict:
    """The run's verdict, never better than the worst of its sections: a report must not contradict its own rows."""
    return Verdict.merge([result.verdict, Verdict.merge(section.verdict for section in sections(result))])


def shortfalls(result: RunResult) -> tuple[CheckResult, ...]:
    """Every check that did not pass, failures first, otherwise in the order they were made."""
    return tuple(check for verdict in WORST_FIRST[:2] for check in result.results if check.verdict is verdict)


def short_of_processors(result: RunResult) -> str | None:
    """Why what fell short may be the machine's doing and not the stack's; None where nothing says so."""
    if overall(result) is Verdict.PASS or result.cpu_waited is None or result.cpu_waited < _BUSY:
        return None
    return (
        f"this machine was short of processors: for {result.cpu_waited:.0%} of the time something waited for one, "
        "which makes scrapes and evaluations late; run less beside it, or give a smaller --time-scale"
    )


def tally(checks: Iterable[CheckResult]) -> str:
    """``2 failed, 1 unknown, 20 passed``; what is zero is left out, and nothing at all is ``no checks``."""
    counts = Counter(check.verdict for check in checks)
    words = {Verdict.FAIL: "failed", Verdict.UNKNOWN: "unknown", Verdict.PASS: "passed"}
    return ", ".join(f"{counts[verdict]} {words[verdict]}" for verdict in WORST_FIRST if counts[verdict]) or "no checks"


def covered(result: RunResult, kind: str) -> Covered:
    """What the run proved of one kind of thing; nothing of a kind it does not speak of."""
    return result.coverage.get(kind, Covered((), ()))


def other_coverage(result: RunResult) -> tuple[tuple[str, Covered], ...]:
    """Everything beside the alerts that the stack has any of, each kind in words."""
    return tuple(
        (kind.replace("_", " "), each)
        for kind, each in result.coverage.items()
        if kind != "alerts" and (each.proved or each.unproved)
    )


def tally_covered(each: Covered) -> str:
    """``3 of 4``."""
    return f"{len(each.proved)} of {len(each.proved) + len(each.unproved)}"


def _lives(checks: Iterable[CheckResult]) -> tuple[AlertLife, ...]:
    found: dict[str, dict[str, CheckResult]] = {}
    for check in checks:
        match = _ALERT.fullmatch(check.check)
        if match is None or match["stage"] not in STAGES:
            continue
        stages = found.setdefault(match["name"], {})
        known = stages.get(match["stage"])
        # One alert can be held to two expectations; the row then shows the worse of the two.
        if known is None or Verdict.merge([known.verdict, check.verdict]) is not known.verdict:
            stages[match["stage"]] = check
    return tuple(AlertLife(alert, tuple(stages.get(stage) for stage in STAGES)) for alert, stages in found.items())
