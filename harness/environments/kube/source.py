"""Where a cluster comes from: what is asked of it, and what each kind of source offers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from harness.environments.kube.kubectl import Kubectl

Progress = Callable[[str], None]
Watch = Callable[[], None]


@dataclass(frozen=True, slots=True)
class ClusterChoice:
    """What was asked of a cluster.

    ``node_image``: of kind's nodes, None for kind's own; ``keep``: whether the kind cluster, called ``name``, outlives
    the run, to be used by the next one that keeps it. ``context`` and ``namespaces``: of a cluster
    that exists. ``load_outside``: whether load comes in through a port of this machine, instead of from pods.
    """

    node_image: str | None = None
    keep: bool = False
    name: str = ""
    context: str | None = None
    namespaces: tuple[str, ...] = ()
    load_outside: bool = False


class Source(Protocol):
    """A cluster to be had. ``cluster``: the kind cluster's name, empty for one that is not the harness's own."""

    environment: str
    cluster: str
    keep: bool
    kubeconfig: Path
    context: str
    gpu_file: Path | None
    own_namespace: str
    lent: bool  # somebody else's: nothing outside its namespaces may be touched

    def plan(self) -> list[str]:
        """What would be made or used, a line each; nothing is touched."""

    def open(self, namespaces: Sequence[str], *, images: Sequence[str], progress: Progress, watch: Watch) -> Kubectl:
        """The cluster as somebody who may install. Raises HarnessError, InputError when it may not be used.

        ``images``: what ``give`` will be asked for; a cluster that is made can have them by the time it is ready.
        """

    def give(self, images: Sequence[str], *, everywhere: bool, progress: Progress) -> None:
        """All nodes, or unless ``everywhere`` those that take any pod, have these images. Raises HarnessError."""

    def entry(self) -> str:
        """``host:port`` on this machine that leads to a port of the nodes. Raises HarnessError where none does."""

    def versions(self) -> dict[str, str]:
        """What the cluster is made with."""
