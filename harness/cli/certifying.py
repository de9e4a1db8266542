"""``harness certify``."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness import defaults
from harness.cli.options import EXIT, FiniteRange, place_options, scale_option, seed_option, stack_option
from harness.progress import Progress

if TYPE_CHECKING:  # heavy imports wait until they are needed: `harness --help` answers at once
    from harness.model import Experiment, RunResult, Verdict
    from harness.run.interrupt import Interruption
    from harness.run.options import Options
    from harness.stack import Stack


@click.command()
@stack_option
@place_options
@click.option(
    "--experiments",
    "experiment_paths",
    type=click.Path(path_type=Path),
    multiple=True,
    help="A file or a directory of experiments; may be given several times. [default: the shipped ones]",
)
@scale_option
@seed_option
@click.option(
    "--report",
    "report_dir",
    type=click.Path(path_type=Path),
    default=None,
    help="The run's own directory, new or empty. [default: reports/<time of start>]",
)
@click.option(
    "--load-rate",
    type=FiniteRange(min=0.1, max=5000),
    default=defaults.LOAD_RATE,
    show_default=True,
    help="Inference requests per second.",
)
@click.option(
    "--load-target", default=None, help="namespace/service:port of the inference Service. [default: by label]"
)
@click.option("--load-model", default=defaults.LOAD_MODEL, show_default=True, help="Name of the model to ask.")
@click.option(
    "--load-workers",
    type=click.IntRange(min=1, max=50),
    default=defaults.LOAD_WORKERS,
    show_default=True,
    help="kind, kube: locust's workers, a pod each; they share the rate.",
)
@click.option("--load-outside", is_flag=True, help="kind: load comes from this machine through a port, not from pods.")
@click.option("--dry-run", is_flag=True, help="kind, kube: shows all that would be touched, and touches nothing.")
def certify(
    stacks: tuple[Path, ...],
    place: Any,
    experiment_paths: tuple[Path, ...],
    time_scale: float,
    seed: int | None,
    report_dir: Path | None,
    load_rate: float,
    load_target: str | None,
    load_model: str,
    load_workers: int,
    load_outside: bool,
    dry_run: bool,
) -> int:
    """Stands the stack up, breaks it experiment by experiment, and says what was proved.

    Several environments (`--environment local,kind`) are certified one after another; an experiment whose verdicts
    disagree is a FAIL.

    \b
    Examples:
      harness certify
      harness certify --experiments experiments/gpu-overheats.yaml --time-scale 1
      harness certify --stack deploy/monitoring --experiments my-experiments --report /tmp/run-1
      harness certify --environment kind --images offline
      harness certify --environment local,kind
      harness certify --environment kube --context staging --namespace monitoring --namespace serving --dry-run
    """
    from harness.run.interrupt import Interruption
    from harness.run.options import Options
    from harness.run.reporting import new_run_directory

    options = Options(
        time_scale=time_scale,
        seed=seed if seed is not None else random.SystemRandom().randrange(2**31),
        load_rate=load_rate,
        load_target=load_target,
        load_model=load_model,
        load_workers=load_workers,
        place=replace(place, cluster=replace(place.cluster, load_outside=load_outside)),
    )
    certifications = [
        _read(stacks, experiment_paths, replace(options, place=replace(options.place, environment=name)))
        for name in place.environment.split(",")
    ]
    if dry_run:
        for certification in certifications:
            click.echo("\n".join(certification.plan()))
        return 0
    run_dir = new_run_directory(report_dir, now=datetime.now(UTC))
    interruption = Interruption()
    with Progress(sys.stderr) as progress:
        if len(certifications) == 1:
            result, text = certifications[0].run(run_dir, progress.say, interruption)
            verdict = result.verdict
        else:
            verdict, text = _run_all(certifications, run_dir, progress.say, interruption)
    click.echo(text)
    return EXIT[verdict]


def _read(stacks: Sequence[Path], experiment_paths: Sequence[Path], options: Options) -> _Certification:
    """What is to be certified in one environment. Raises InputError and HarnessError for all that is wrong with it."""
    from harness.run.inputs import read_inputs
    from harness.run.placing import require_environment, require_images
    from harness.run.suitability import split

    name = options.place.environment
    stack, experiments = read_inputs(
        stacks or defaults.stacks(name),
        experiment_paths or defaults.experiments(name),
        environment=name,
        load_target=options.load_target,
    )
    require_environment(options.place)
    require_images(options.place, stack)
    left_out: tuple[str, ...] = ()
    if not experiment_paths:  # what somebody names is run, or reported as not run
        scale = options.time_scale
        experiments, left_out = split(experiments, stack.spec, environment=name, time_scale=scale)
    return _Certification(stack, experiments, replace(options, left_out=left_out))


@dataclass(frozen=True, slots=True)
class _Certification:
    """What is certified, and where."""

    stack: Stack
    experiments: Sequence[Experiment]
    options: Options

    def run(self, run_dir: Path, say: Callable[[str], None], interruption: Interruption) -> tuple[RunResult, str]:
        """The result, and what to tell of it; the reports are written."""
        from harness.run.certify import certify as run_certification

        scale, seed = f"{self.options.time_scale:g}", self.options.seed
        say(f"run {run_dir.name}: {len(self.experiments)} experiments, time scale {scale}, seed {seed}")
        result, text = run_certification(
            self.stack,
            self.experiments,
            run_dir,
            self.options,
            interruption=interruption,
            say=say,
            colour=sys.stdout.isatty(),
        )
        return result, f"{text}\nreport: {run_dir / 'report.html'}"

    def plan(self) -> list[str]:
        """All that the certification would touch, a line each; nothing is touched."""
        from harness.run.loading import load_target
        from harness.run.placing import make_cluster

        place, options = self.options.place, self.options
        if place.environment == "local":
            return ["local: processes in a sandbox of this machine, files in the run's directory; nothing else"]
        environment = make_cluster(
            place,
            self.stack,
            Path("dry-run"),
            time_scale=options.time_scale,
            seed=options.seed,
            load_target=load_target(self.stack, options.load_target),
        )
        return [f"{place.environment}: {line}" for line in environment.plan()]


def _run_all(
    certifications: Sequence[_Certification], run_dir: Path, say: Callable[[str], None], interruption: Interruption
) -> tuple[Verdict, str]:
    """The verdict of all, and what to tell. Each has a directory of its name; an interrupted one is the last."""
    from harness.run.agreement import agreed_verdict, disagreements

    results: dict[str, RunResult] = {}
    told: list[str] = []
    for certification in certifications:
        name = certification.options.place.environment
        own = run_dir / name
        own.mkdir()
        say(f"environment {name}")
        results[name], text = certification.run(own, say, interruption)
        told.append(text)
        if results[name].interrupted or interruption.signal_name is not None:
            break
    asked = [each.options.place.environment for each in certifications]
    found, verdict = disagreements(results), agreed_verdict(results, asked)
    told.append(f"\n{verdict.value}  {' and '.join(asked)}: {len(found)} disagreements")
    told += [f"  UNKNOWN  {name}: not run, the run was interrupted before" for name in asked if name not in results]
    return verdict, "\n".join([*told, *(f"  FAIL  {each}" for each in found)])
