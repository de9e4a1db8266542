"""Options that several commands share, and the exit codes of all."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from harness import defaults
from harness.errors import InputError, Mistake
from harness.model import Verdict

EXIT = {Verdict.PASS: 0, Verdict.FAIL: 1, Verdict.UNKNOWN: 2}
EXIT_BAD_INPUT = 3
EXIT_HARNESS_FAILED = 4

stack_option = click.option(
    "--stack",
    "stacks",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Directory of manifests; several are read as one. [default: the shipped stack]",
)


class FiniteRange(click.FloatRange):
    """A range of numbers that ``nan``, which compares with nothing, is not in."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value} is no number of the range {self._describe_range()}.", param, ctx)
        return number


scale_option = click.option(
    "--time-scale",
    type=FiniteRange(min=1, max=1000),
    default=defaults.TIME_SCALE,
    show_default=True,
    help="Divides every duration of the stack; 1 runs in real time.",
)
seed_option = click.option(
    "--seed", type=click.IntRange(min=0), default=None, help="For every random choice. [default: drawn, printed]"
)
_PLACE_OPTIONS = (
    click.option(
        "--environment",
        default="local",
        show_default=True,
        metavar="local|kind|kube",
        help="Where the stack runs: on this machine, in a kind cluster made for it, or in a cluster that exists.",
    ),
    click.option(
        "--images",
        envvar="HARNESS_IMAGES",
        default="official",
        show_default=True,
        show_envvar=True,
        help="Which container images pods run: official (pulled), offline (built here), or a mapping file.",
    ),
    click.option(
        "--node-image",
        envvar="KIND_NODE_IMAGE",
        default=None,
        show_envvar=True,
        help="kind: of its nodes. [default: kind's own]",
    ),
    click.option("--keep", is_flag=True, help="kind: use the kept cluster, making it if need be, and keep it."),
    click.option(
        "--cluster-name",
        default=defaults.KEPT_CLUSTER,
        show_default=True,
        help="kind: what the kept cluster is called.",
    ),
    click.option(
        "--ready-timeout",
        type=click.IntRange(min=1, max=86_400),
        default=None,
        metavar="SECONDS",
        help="How long the stack's pods may take to be ready, real time. "
        f"[default: {defaults.READY_TIMEOUT_S:g}, kind and kube: {defaults.CLUSTER_READY_TIMEOUT_S:g}]",
    ),
    click.option("--context", default=None, help="kube: the context of the cluster, from your kubeconfig."),
    click.option(
        "--namespace",
        "namespaces",
        multiple=True,
        help="kube: a namespace the harness may act in, labelled harness/allowed=true; the first holds its own things.",
    ),
)


def place_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say where a stack runs; the command gets them as one argument ``place``.

    Several environments, as in ``local,kind``, are for the command to take apart: ``place`` has them as written.
    """

    @functools.wraps(command)
    def with_place(
        *args: Any,
        environment: str,
        images: str,
        node_image: str | None,
        keep: bool,
        cluster_name: str,
        ready_timeout: int | None,
        context: str | None,
        namespaces: tuple[str, ...],
        **kwargs: Any,
    ) -> Any:
        from harness.run.placing import ENVIRONMENTS, ClusterChoice, Place

        named = environment.split(",")
        unknown = [name for name in named if name not in ENVIRONMENTS]
        if unknown or len(set(named)) != len(named):
            problem = f"got {environment!r}, need one of {', '.join(ENVIRONMENTS)}, or several with commas between"
            raise InputError([Mistake("--environment", "", problem)])
        cluster = ClusterChoice(
            node_image=node_image, keep=keep, name=cluster_name, context=context, namespaces=namespaces
        )
        return command(*args, place=Place(environment, images, cluster, ready_timeout), **kwargs)

    for option in reversed(_PLACE_OPTIONS):
        with_place = option(with_place)
    return with_place
