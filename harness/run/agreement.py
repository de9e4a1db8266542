"""One certification in several environments: their verdicts have to agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.model import RunResult, Verdict


@dataclass(frozen=True, slots=True)
class Disagreement:
    """An experiment whose verdict depends on where it was run. ``verdicts``: environment → verdict."""

    experiment: str
    verdicts: Mapping[str, Verdict]

    def __str__(self) -> str:
        told = ", ".join(f"{name}: {verdict.value}" for name, verdict in self.verdicts.items())
        return f"{self.experiment}: {told}"


def disagreements(results: Mapping[str, RunResult]) -> tuple[Disagreement, ...]:
    """The experiments, and the phases before them, that two environments or more ran with different verdicts.

    ``results``: by environment. What an interrupted run did not see to its end says nothing of the others.
    """
    by_experiment: dict[str, dict[str, list[Verdict]]] = {}
    for environment, result in results.items():
        for each in result.results:
            by_experiment.setdefault(each.experiment, {}).setdefault(environment, []).append(each.verdict)
    found = []
    for experiment, verdicts in by_experiment.items():
        merged = {environment: Verdict.merge(each) for environment, each in verdicts.items()}
        merged = {
            name: each for name, each in merged.items() if not (each is Verdict.UNKNOWN and results[name].interrupted)
        }
        if len(set(merged.values())) > 1:
            found.append(Disagreement(experiment, merged))
    return tuple(found)


def agreed_verdict(results: Mapping[str, RunResult], asked: Sequence[str]) -> Verdict:
    """The worst verdict of all the environments asked for, one that was not run being UNKNOWN; FAIL where they
    disagree."""
    if disagreements(results):
        return Verdict.FAIL
    return Verdict.merge(results[name].verdict if name in results else Verdict.UNKNOWN for name in asked)
