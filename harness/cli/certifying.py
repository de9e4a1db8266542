"""``harness certify``."""

from __future__ import annotations

import random
import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from harness import defaults
from harness.cli.options import (
    EXIT,
    environment_option,
    images_option,
    node_image_option,
    scale_option,
    seed_option,
    stack_option,
)
from harness.cli.output import show
from harness.progress import Progress


@click.command()
@stack_option
@environment_option
@node_image_option
@images_option
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
    type=click.FloatRange(min=0.1, max=5000),
    default=defaults.LOAD_RATE,
    show_default=True,
    help="Inference requests per second.",
)
@click.option(
    "--load-target", default=None, help="namespace/service:port of the inference Service. [default: by label]"
)
@click.option("--load-model", default=defaults.LOAD_MODEL, show_default=True, help="Name of the model to ask.")
def certify(
    stack: Path,
    environment: str,
    node_image: str | None,
    images: str,
    experiment_paths: tuple[Path, ...],
    time_scale: float,
    seed: int | None,
    report_dir: Path | None,
    load_rate: float,
    load_target: str | None,
    load_model: str,
) -> int:
    """Stands the stack up, breaks it experiment by experiment, and says what was proved.

    \b
    Examples:
      harness certify
      harness certify --experiments experiments/gpu-overheats.yaml --time-scale 1
      harness certify --stack deploy/monitoring --experiments my-experiments --report /tmp/run-1
    """
    # Heavy imports wait until they are needed: `harness --help` answers at once.
    from harness.run.certify import Options
    from harness.run.certify import certify as run_certification
    from harness.run.inputs import read_inputs
    from harness.run.placing import Place, require_environment
    from harness.run.reporting import new_run_directory, write_reports

    loaded, experiments = read_inputs(stack, experiment_paths or (defaults.EXPERIMENTS,), load_target=load_target)
    place = Place(environment, node_image, images)
    require_environment(place)
    run_dir = new_run_directory(report_dir, now=datetime.now(UTC))
    chosen_seed = seed if seed is not None else random.SystemRandom().randrange(2**31)
    options = Options(
        time_scale=time_scale,
        seed=chosen_seed,
        load_rate=load_rate,
        load_target=load_target,
        load_model=load_model,
        place=place,
    )
    with Progress(sys.stderr) as progress:
        progress.say(
            f"run {run_dir.name}: {len(experiments)} experiments, time scale {time_scale:g}, seed {chosen_seed}"
        )
        result, timeline = run_certification(loaded, experiments, run_dir, options, say=progress.say)
        progress.say("writing the report")
        text = write_reports(result, timeline.events(), loaded.spec, run_dir, colour=sys.stdout.isatty())
    show(text)
    show(f"\nreport: {run_dir / 'report.html'}")
    return EXIT[result.verdict]
