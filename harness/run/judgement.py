"""A run's verdict from its evidence alone: the timeline, and what was asked of the run, kept beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from harness.checks import STARTUP, check_run, coverage
from harness.errors import InputError, Mistake
from harness.evidence.timeline import read_timeline
from harness.model import Event, Experiment, Phase, RunResult, Verdict
from harness.spec import Spec

INPUTS_FILE = "inputs.json"
TIMELINE_FILE = "timeline.jsonl"


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a run was given: the stack's own words, the experiments, and the choices that the checks depend on."""

    run_id: str
    environment: str
    time_scale: float
    seed: int
    stack_path: str
    stack_sha256: str
    spec: Spec
    experiments: tuple[Experiment, ...]

    def save(self, run_dir: Path) -> None:
        """Writes them into the run's directory."""
        (run_dir / INPUTS_FILE).write_bytes(_INPUTS.dump_json(self, indent=1))

    @classmethod
    def load(cls, run_dir: Path) -> Inputs:
        """Raises InputError when the directory holds none, or they are damaged."""
        path = run_dir / INPUTS_FILE
        try:
            return _INPUTS.validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            raise InputError([Mistake(path, "", f"is no record of a run's inputs: {error}")]) from error


_INPUTS = TypeAdapter(Inputs)


def judge(inputs: Inputs, events: Sequence[Event]) -> RunResult:
    """The result of what was recorded. A run whose record does not begin is UNKNOWN."""
    results = check_run(events, inputs.experiments, inputs.spec, time_scale=inputs.time_scale)
    started = next((event.data for event in events if (event.kind, event.name) == ("run", "started")), {})
    ended = next((event.data for event in events if (event.kind, event.name) == ("run", "ended")), None)
    return RunResult(
        run_id=inputs.run_id,
        verdict=Verdict.merge(result.verdict for result in results),
        results=results,
        phases=tuple(_phases(events)),
        versions=started.get("versions", {}),
        seed=inputs.seed,
        time_scale=inputs.time_scale,
        environment=inputs.environment,
        gpu=started.get("gpu", "unknown"),
        not_exercised=tuple(started.get("not_exercised", ())),
        coverage=coverage(results, events, inputs.spec),
        stack={"path": inputs.stack_path, "sha256": inputs.stack_sha256},
        experiments=tuple(
            {"name": each.name, "title": each.title, "path": each.path, "sha256": each.sha256}
            for each in inputs.experiments
        ),
        interrupted="the harness ended without a word" if ended is None else ended.get("interrupted"),
        cpu_waited=None if ended is None else ended.get("cpu_waited"),
    )


def judge_directory(run_dir: Path) -> tuple[RunResult, tuple[Event, ...], Spec]:
    """The result of a run's directory, its events and its spec. Raises InputError when the record is damaged."""
    inputs = Inputs.load(run_dir)
    events = read_timeline(run_dir / TIMELINE_FILE)
    return judge(inputs, events), events, inputs.spec


def _phases(events: Sequence[Event]) -> list[Phase]:
    begun: dict[str, float] = {}
    phases = []
    for event in events:
        if event.kind == "run" and event.name in ("started", "not ready"):
            phases.append(Phase(STARTUP, 0.0, event.t_s))
        if event.kind == "phase" and event.data["status"] == "begin":
            begun[event.name] = event.t_s
        elif event.kind == "phase":
            phases.append(Phase(event.name, begun.pop(event.name), event.t_s))
    return phases + [Phase(name, start_s, None) for name, start_s in begun.items()]
