"""Options that several commands share, and the exit codes of all."""

from __future__ import annotations

from pathlib import Path

import click

from harness import defaults
from harness.model import Verdict

EXIT = {Verdict.PASS: 0, Verdict.FAIL: 1, Verdict.UNKNOWN: 2}
EXIT_BAD_INPUT = 3
EXIT_HARNESS_FAILED = 4

stack_option = click.option(
    "--stack",
    type=click.Path(path_type=Path),
    default=defaults.STACK,
    help="Directory of manifests. [default: the shipped stack]",
)
scale_option = click.option(
    "--time-scale",
    type=click.FloatRange(min=1, max=1000),
    default=defaults.TIME_SCALE,
    show_default=True,
    help="Divides every duration of the stack; 1 runs in real time.",
)
seed_option = click.option("--seed", type=int, default=None, help="For every random choice. [default: drawn, printed]")
environment_option = click.option(
    "--environment",
    type=click.Choice(["local", "kind"]),
    default="local",
    show_default=True,
    help="Where the stack runs: on this machine, or in a kind cluster made for it.",
)
node_image_option = click.option(
    "--node-image",
    envvar="KIND_NODE_IMAGE",
    default=None,
    show_envvar=True,
    help="Of kind's nodes. [default: kind's own]",
)
images_option = click.option(
    "--images",
    envvar="HARNESS_IMAGES",
    default="official",
    show_default=True,
    show_envvar=True,
    help="Which container images pods run: official (pulled), offline (built here from packages), or a mapping file.",
)
