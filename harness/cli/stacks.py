"""``harness list`` and ``harness init``: what there is, and a first experiment for each alert."""

from __future__ import annotations

from pathlib import Path

import click

from harness import defaults
from harness.cli.options import stack_option


@click.command("list")
@stack_option
@click.option(
    "--experiments",
    "experiments",
    type=click.Path(path_type=Path),
    default=defaults.EXPERIMENTS,
    help="File or directory.",
)
def list_all(stacks: tuple[Path, ...], experiments: Path) -> int:
    """Shows the stack's workloads, alerts and receivers, the experiments, and every fault with its parameters.

    \b
    Examples:
      harness list
      harness list --stack deploy/monitoring --experiments my-experiments
    """
    from harness.run.listing import list_experiments, list_faults, list_stack

    for line in (*list_stack(stacks or (defaults.STACK,)), "", *list_experiments(experiments), "", *list_faults()):
        click.echo(line)
    return 0


@click.command()
@click.option(
    "--stack",
    "stacks",
    type=click.Path(path_type=Path),
    multiple=True,
    required=True,
    help="Directory of manifests; several are read as one.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("my-experiments"),
    show_default=True,
    help="Where to write; a file that is there already is left as it is.",
)
def init(stacks: tuple[Path, ...], out: Path) -> int:
    """Writes a first experiment for each alert of a stack: the fault it can guess, and TODO where you must say.

    \b
    Examples:
      harness init --stack deploy/monitoring
      harness init --stack deploy/monitoring --out deploy/experiments
    """
    from harness.skeleton import draft_experiments, write_drafts
    from harness.stack import load_stack

    loaded = load_stack(*stacks)
    ready = []
    for path, draft, written in write_drafts(draft_experiments(loaded), out):
        faults = ", ".join(dict.fromkeys(step.function for step in draft.steps if step.function != "hold"))
        click.echo(f"{path}: {draft.alert}: {faults} ({draft.because})" if written else f"{path}: is there already")
        for todo in draft.todo:
            click.echo(f"    TODO: {todo}")
        ready += [] if draft.todo else [path]
    for alert in loaded.spec.alerts:
        if alert.is_heartbeat:
            click.echo(f"{alert.name}: always fires, and is watched in every run")
    if ready:
        shown = " ".join(f"--experiments {path}" for path in ready[:2])
        named = " ".join(f"--stack {each}" for each in stacks)
        click.echo(f"\n{len(ready)} without a TODO. Go on with:\n  harness certify {named} {shown}")
    return 0
