"""``harness up``, ``status``, ``down`` and ``heal``: environments that outlive the command that started them."""

from __future__ import annotations

import random
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from harness import defaults
from harness.cli.options import (
    place_options,
    scale_option,
    seed_option,
    stack_option,
)
from harness.errors import HarnessError, InputError, Mistake
from harness.progress import Progress

_RUNS = Path("reports")


@click.command()
@stack_option
@place_options
@scale_option
@seed_option
def up(stacks: tuple[Path, ...], place: Any, time_scale: float, seed: int | None) -> int:
    """Stands the stack up and leaves it running, for a look around or for plain `chaos run`.

    \b
    Examples:
      harness up --time-scale 1
      harness up --stack deploy/monitoring
      harness up --environment kind
    """
    from harness.run.inputs import read_inputs
    from harness.run.placing import require_environment, require_images
    from harness.run.reporting import new_run_directory
    from harness.run.standing import stand_up

    loaded, _ = read_inputs(stacks or defaults.stacks(place.environment), ())
    require_environment(place)
    require_images(place, loaded)
    run_dir = new_run_directory(None, now=datetime.now(UTC))
    chosen_seed = seed if seed is not None else random.SystemRandom().randrange(2**31)
    with Progress(sys.stderr) as progress:
        running = stand_up(place, loaded, run_dir, time_scale=time_scale, seed=chosen_seed, say=progress.say)
    click.echo(describe(running))
    return 0


@click.command()
def status() -> int:
    """Shows the running environments: their addresses and the state of every pod. Exit code 1 when there is none.

    \b
    Example:
      harness status
    """
    from harness.run.standing import running_environments

    found = running_environments(_RUNS)
    if not found:
        click.echo("no environment is running below reports/")
        return 1
    for running in found:
        click.echo(describe(running))
        try:
            states = running.container_states()
        except HarnessError as error:  # as of one that could not be taken down whole; others may be well
            click.echo(f"  its pods are not known: {error}")
            continue
        for state in states:
            says = "running" if state["running"] else f"not running (exit code {state['exit_code']})"
            click.echo(f"  {state['namespace']}/{state['pod']} {state['container']}: {says}")
    return 0


@click.command()
@click.argument("run_dir", type=click.Path(path_type=Path), required=False)
@click.option("--kept", is_flag=True, help="Deletes the kind cluster that --keep made, with all that is in it.")
@click.option("--cluster-name", default=defaults.KEPT_CLUSTER, show_default=True, help="What that cluster is called.")
def down(run_dir: Path | None, kept: bool, cluster_name: str) -> int:
    """Takes down the environment of a run directory, or every environment below reports/.

    \b
    Examples:
      harness down
      harness down reports/20260101-120000
      harness down --kept
    """
    if kept:
        from harness.run.placing import delete_kept

        click.echo(f"down: {cluster_name}" if delete_kept(cluster_name) else f"there is no kept cluster {cluster_name}")
        return 0
    from harness.run.standing import environment_of, running_environments

    found = tuple(filter(None, map(environment_of, _described_in(run_dir)))) if run_dir else running_environments(_RUNS)
    failures = []
    for running in found:
        try:
            running.stop()
        except Exception as error:  # noqa: BLE001 - one that cannot be taken down must not keep the others standing
            failures.append(f"{running.state.run_dir}: {error}")
        else:
            click.echo(f"down: {running.state.run_dir}")
    if failures:
        raise HarnessError("not down: " + "; ".join(failures))
    if not found:
        click.echo(f"already down: {run_dir}" if run_dir else "no environment is running below reports/")
    return 0


@click.command()
@click.argument("run_dir", type=click.Path(path_type=Path), required=False)
def heal(run_dir: Path | None) -> int:
    """Undoes what a killed run left broken: in RUN_DIR, or in every run below reports/. Exit code 4 where it cannot.

    \b
    Examples:
      harness heal
      harness heal reports/20260101-120000
    """
    from harness.run.healing import heal as heal_run
    from harness.run.standing import described_below

    failed = []
    directories = _described_in(run_dir) if run_dir else described_below(_RUNS)
    for directory in directories:
        try:
            healed = heal_run(directory)
        except Exception as error:  # noqa: BLE001 - one run that cannot be read must not keep others from being healed
            click.echo(f"{directory}: not healed: {error}", err=True)
            failed.append(str(directory))
            continue
        how = "went with the environment" if healed.gone else "undone"
        for name in healed.undone:
            click.echo(f"{directory}: {name}: {how}")
        for failure in healed.failures:
            click.echo(f"{directory}: not undone: {failure}", err=True)
        if healed.standing:
            where = f"what it made in the cluster {healed.standing}"
            click.echo(f"{directory}: {where} is still there; `harness down {directory}` removes it")
        failed += [str(directory)] if healed.failures else []
        if not healed.undone and not healed.failures:
            click.echo(f"{directory}: nothing to undo")
    if not directories:
        click.echo("no run below reports/ describes an environment")
    if failed:
        raise HarnessError(f"something may still be broken in {', '.join(failed)}")
    return 0


def _described_in(run_dir: Path) -> tuple[Path, ...]:
    """The directories of a run that describe an environment. Raises InputError where none does."""
    from harness.environments.description import STATE_FILE
    from harness.run.standing import described_in

    found = described_in(run_dir)
    if not found:
        raise InputError([Mistake("RUN_DIR", "", f"{run_dir} holds no {STATE_FILE}: no environment was started there")])
    return found


def describe(running: Any) -> str:
    """A running environment in a few lines: where it is and how to work with it."""
    state = running.state
    services = "".join(f"\n  {name:<40} http://{address}" for name, address in sorted(state.services.items()))
    return (
        f"environment {state.run_dir}: time scale {state.time_scale:g}, seed {state.seed}, GPU {state.gpu}\n"
        f"  {'Prometheus':<40} {state.prometheus}\n"
        f"  {'Alertmanager':<40} {', '.join(state.alertmanagers)}{services}"
    )
