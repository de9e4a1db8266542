"""Puts right what a run that was killed, or an environment that stands, still has broken."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.clock import RunClock
from harness.environments.kube.cluster import Cluster
from harness.evidence.timeline import Timeline
from harness.faults.injector import Injector
from harness.faults.ledger import Ledger
from harness.run.running import Running, attach


@dataclass(frozen=True, slots=True)
class Healed:
    """What was found in a run's ledger.

    ``gone``: the environment no longer runs, and its faults went with it. ``standing``: the cluster, by its name or its
    context, in which it left things behind; empty without one.
    """

    run_dir: Path
    undone: tuple[str, ...]
    failures: tuple[str, ...]
    gone: bool
    standing: str = ""


def heal(run_dir: Path) -> Healed:
    """Undoes every outstanding fault of a run, the latest first; every entry is tried.

    Raises HarnessError when the directory describes no environment or its ledger is damaged.
    """
    environment = attach(run_dir)
    ledger = Ledger(run_dir)
    outstanding = ledger.outstanding()
    if not outstanding:
        return Healed(run_dir, (), (), gone=not environment.alive(), standing=_standing(environment))
    names = tuple(f"{entry.fault}#{entry.number}" for entry in outstanding)
    if not environment.alive():
        for entry in outstanding:
            ledger.close(entry)
        return Healed(run_dir, names, (), gone=True)
    number = sum(1 for _ in run_dir.glob("heal-*.jsonl")) + 1
    timeline = Timeline(run_dir / f"heal-{number}.jsonl", RunClock.start())
    try:
        failures = tuple(
            Injector(
                world=environment, run_dir=run_dir, record=timeline.record, time_scale=environment.state.time_scale
            ).heal()
        )
    finally:
        timeline.close()
    failed = {failure.partition(":")[0] for failure in failures}
    undone = tuple(name for name in names if name not in failed)
    return Healed(run_dir, undone, failures, gone=False, standing=_standing(environment))


def _standing(environment: Running) -> str:
    """Where a killed run left things behind; a local node ends with its run."""
    if not isinstance(environment, Cluster) or not environment.alive():
        return ""
    return environment.state.cluster or environment.state.context
