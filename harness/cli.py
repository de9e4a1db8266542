"""The command ``harness``: reads arguments, shows progress, prints results, and turns outcomes into exit codes."""

from __future__ import annotations

import random
import sys
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from harness import __version__, defaults
from harness.errors import HarnessError, InputError, Mistake
from harness.model import Verdict
from harness.progress import Progress

EXIT = {Verdict.PASS: 0, Verdict.FAIL: 1, Verdict.UNKNOWN: 2}
EXIT_BAD_INPUT = 3
EXIT_HARNESS_FAILED = 4

_stack_option = click.option(
    "--stack",
    type=click.Path(path_type=Path),
    default=defaults.STACK,
    help="Directory of manifests. [default: the shipped stack]",
)
_scale_option = click.option(
    "--time-scale",
    type=click.FloatRange(min=1, max=1000),
    default=defaults.TIME_SCALE,
    show_default=True,
    help="Divides every duration of the stack; 1 runs in real time.",
)
_seed_option = click.option("--seed", type=int, default=None, help="For every random choice. [default: drawn, printed]")
_environment_option = click.option(
    "--environment", type=click.Choice(["local"]), default="local", show_default=True, help="Where the stack runs."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="harness")
def cli() -> None:
    """Proves that a stack's monitoring and recovery behave as specified, by breaking things under load.

    \b
    Exit codes: 0 PASS, 1 FAIL, 2 UNKNOWN, 3 bad input, 4 the harness itself failed.

    \b
    Examples:
      harness certify
      harness certify --stack deploy/monitoring --experiments experiments/disk.yaml
      harness up && chaos run experiments/model-volume-full.yaml; harness down
    """


@cli.command()
@_stack_option
@_environment_option
@click.option(
    "--experiments",
    "experiment_paths",
    type=click.Path(path_type=Path),
    multiple=True,
    help="A file or a directory of experiments; may be given several times. [default: the shipped ones]",
)
@_scale_option
@_seed_option
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
    from harness.run.inputs import read_inputs, require_environment
    from harness.run.reporting import new_run_directory, write_reports

    loaded, experiments = read_inputs(stack, experiment_paths or (defaults.EXPERIMENTS,), load_target=load_target)
    require_environment()
    run_dir = new_run_directory(report_dir, now=datetime.now(UTC))
    chosen_seed = seed if seed is not None else random.SystemRandom().randrange(2**31)
    options = Options(
        time_scale=time_scale, seed=chosen_seed, load_rate=load_rate, load_target=load_target, load_model=load_model
    )
    with Progress(sys.stderr) as progress:
        progress.say(
            f"run {run_dir.name}: {len(experiments)} experiments, time scale {time_scale:g}, seed {chosen_seed}"
        )
        result, timeline = run_certification(loaded, experiments, run_dir, options, say=progress.say)
        progress.say("writing the report")
        text = write_reports(result, timeline.events(), loaded.spec, run_dir, colour=sys.stdout.isatty())
    click.echo(text)
    click.echo(f"\nreport: {run_dir / 'report.html'}")
    return EXIT[result.verdict]


@cli.command()
@_stack_option
@_environment_option
@_scale_option
@_seed_option
def up(stack: Path, environment: str, time_scale: float, seed: int | None) -> int:
    """Stands the stack up and leaves it running, for a look around or for plain `chaos run`.

    \b
    Examples:
      harness up --time-scale 1
      harness up --stack deploy/monitoring
    """
    from harness.run.inputs import read_inputs, require_environment
    from harness.run.reporting import new_run_directory
    from harness.run.standing import stand_up

    loaded, _ = read_inputs(stack, ())
    require_environment()
    run_dir = new_run_directory(None, now=datetime.now(UTC))
    chosen_seed = seed if seed is not None else random.SystemRandom().randrange(2**31)
    with Progress(sys.stderr) as progress:
        node = stand_up(loaded, run_dir, time_scale=time_scale, seed=chosen_seed, say=progress.say)
    click.echo(describe(node))
    return 0


@cli.command()
def status() -> int:
    """Shows the running environments: their addresses and the state of every pod. Exit code 1 when there is none.

    \b
    Example:
      harness status
    """
    from harness.run.session import running_environments

    nodes = running_environments(Path("reports"))
    if not nodes:
        click.echo("no environment is running below reports/")
        return 1
    for node in nodes:
        click.echo(describe(node))
        for state in node.container_states():
            running = "running" if state["running"] else f"not running (exit code {state['exit_code']})"
            click.echo(f"  {state['namespace']}/{state['pod']} {state['container']}: {running}")
    return 0


@cli.command()
@click.argument("run_dir", type=click.Path(path_type=Path), required=False)
def down(run_dir: Path | None) -> int:
    """Takes down the environment of a run directory, or every environment below reports/.

    \b
    Examples:
      harness down
      harness down reports/20260101-120000
    """
    from harness.environments.local.node import STATE_FILE
    from harness.run.session import running_environments
    from harness.run.standing import environment_of

    if run_dir is not None and not (run_dir / STATE_FILE).exists():
        raise InputError([Mistake("RUN_DIR", "", f"{run_dir} holds no {STATE_FILE}: no environment was started there")])
    nodes = tuple(filter(None, [environment_of(run_dir)])) if run_dir else running_environments(Path("reports"))
    for node in nodes:
        node.stop()
        click.echo(f"down: {node.state.run_dir}")
    if not nodes:
        click.echo(f"already down: {run_dir}" if run_dir else "no environment is running below reports/")
    return 0


@cli.command()
@click.argument("run_dir", type=click.Path(path_type=Path), required=False)
def heal(run_dir: Path | None) -> int:
    """Undoes what a killed run left broken: in RUN_DIR, or in every run below reports/. Exit code 4 where it cannot.

    \b
    Examples:
      harness heal
      harness heal reports/20260101-120000
    """
    from harness.environments.local.node import STATE_FILE
    from harness.run.healing import heal as heal_run

    failed = False
    directories = [run_dir] if run_dir else sorted(path.parent for path in Path("reports").glob(f"*/{STATE_FILE}"))
    for directory in directories:
        healed = heal_run(directory)
        how = "went with the environment" if healed.gone else "undone"
        for name in healed.undone:
            click.echo(f"{directory}: {name}: {how}")
        for failure in healed.failures:
            click.echo(f"{directory}: not undone: {failure}", err=True)
        failed = failed or bool(healed.failures)
        if not healed.undone and not healed.failures:
            click.echo(f"{directory}: nothing to undo")
    if not directories:
        click.echo("no run below reports/ describes an environment")
    return EXIT_HARNESS_FAILED if failed else 0


@cli.command()
@click.argument("run_dir", type=click.Path(path_type=Path, exists=True, file_okay=False))
def check(run_dir: Path) -> int:
    """Judges a run again from its evidence alone, and says whether that agrees with its result.json.

    \b
    Example:
      harness check reports/20260101-120000
    """
    from harness.report import to_text
    from harness.run.judgement import judge_directory
    from harness.run.reporting import differences

    result, _, _ = judge_directory(run_dir)
    click.echo(to_text(result, colour=sys.stdout.isatty()))
    different = differences(result, run_dir)
    if different:
        raise HarnessError("the evidence does not agree with result.json: " + "; ".join(different))
    click.echo("\nagrees with result.json")
    return EXIT[result.verdict]


@cli.command()
@click.argument("run_dir", type=click.Path(path_type=Path, exists=True, file_okay=False))
def report(run_dir: Path) -> int:
    """Writes a run's reports again from its evidence.

    \b
    Example:
      harness report reports/20260101-120000
    """
    from harness.run.judgement import judge_directory
    from harness.run.reporting import write_reports

    result, events, spec = judge_directory(run_dir)
    click.echo(write_reports(result, events, spec, run_dir, colour=sys.stdout.isatty()))
    click.echo(f"\nreport: {run_dir / 'report.html'}")
    return EXIT[result.verdict]


@cli.command("list")
@_stack_option
@click.option(
    "--experiments",
    "experiments",
    type=click.Path(path_type=Path),
    default=defaults.EXPERIMENTS,
    help="File or directory.",
)
def list_all(stack: Path, experiments: Path) -> int:
    """Shows the stack's workloads, alerts and receivers, the experiments, and every fault with its parameters.

    \b
    Examples:
      harness list
      harness list --stack deploy/monitoring --experiments my-experiments
    """
    from harness.run.listing import list_experiments, list_faults, list_stack

    for line in (*list_stack(stack), "", *list_experiments(experiments), "", *list_faults()):
        click.echo(line)
    return 0


def describe(node: Any) -> str:
    """A running environment in a few lines: where it is and how to work with it."""
    state = node.state
    services = "".join(f"\n  {name:<40} http://{address}" for name, address in sorted(state.services.items()))
    return (
        f"environment {state.run_dir}: time scale {state.time_scale:g}, seed {state.seed}, GPU {state.gpu}\n"
        f"  {'Prometheus':<40} {state.prometheus}\n"
        f"  {'Alertmanager':<40} {', '.join(state.alertmanagers)}{services}"
    )


def main() -> None:
    """The console entry point; ends the process with the exit code the outcome has."""
    sys.exit(_exit_code(lambda: cli.main(standalone_mode=False)))


def _exit_code(command: Callable[[], Any]) -> int:
    try:
        return int(command() or 0)
    except InputError as error:
        for mistake in error.mistakes:
            click.echo(f"error: {mistake}", err=True)
    except click.ClickException as error:
        error.show()
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return EXIT[Verdict.UNKNOWN]
    except HarnessError as error:
        click.echo(f"the harness failed: {error}", err=True)
        return EXIT_HARNESS_FAILED
    except OSError as error:
        where = f"{error.filename}: " if error.filename else "while writing below the run's directory: "
        click.echo(f"the harness failed: {where}{error.strerror or error}", err=True)
        return EXIT_HARNESS_FAILED
    except Exception:  # noqa: BLE001 - whatever it is, the exit code must say that the harness failed, not the stack
        traceback.print_exc()
        return EXIT_HARNESS_FAILED
    return EXIT_BAD_INPUT
