"""Where a run's stack is to stand: the environments there are, and what each needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from harness import defaults
from harness.environments.images import load_mapping
from harness.environments.kube.environment import ClusterEnvironment
from harness.environments.kube.kind_cluster import require_tools
from harness.environments.kube.lent_cluster import ContextSource, require_lent
from harness.environments.kube.made_cluster import KindSource, delete_kept
from harness.environments.kube.source import ClusterChoice
from harness.environments.local.docker_parts import choose_parts, resolve_parts
from harness.environments.local.environment import LocalEnvironment
from harness.environments.receiver import with_receiver
from harness.run.running import Running
from harness.stack import Stack

ENVIRONMENTS = ("local", "kind", "kube")

__all__ = [
    "ENVIRONMENTS",
    "HERE",
    "ClusterChoice",
    "Environment",
    "Place",
    "delete_kept",
    "make_cluster",
    "make_environment",
    "require_environment",
    "require_images",
]


@dataclass(frozen=True, slots=True)
class Place:
    """What was asked for. Without anything it is this machine.

    ``images``: the mapping of container images. ``cluster``: which one, where it is not this machine.
    ``ready_timeout_s``: how long its pods may take until all are ready, in real time; None: as long as is usual there.
    """

    environment: str = "local"
    images: str = "official"
    cluster: ClusterChoice = field(default_factory=ClusterChoice)
    ready_timeout_s: float | None = None

    @property
    def ready_within_s(self) -> float:
        """How long its pods may take until all are ready."""
        if self.ready_timeout_s is not None:
            return self.ready_timeout_s
        return defaults.READY_TIMEOUT_S if self.environment == "local" else defaults.CLUSTER_READY_TIMEOUT_S


HERE = Place()


class Environment(Protocol):
    """A stack at a place: up once, then down, which may be called at any time and does nothing a second time."""

    def up(self, *, timeout_s: float, progress: Callable[[str], None], watch: Callable[[], None]) -> Running:
        """The running environment once every pod is ready. ``watch`` is called while waiting and may raise to end it.

        Raises StackNotReady naming what is not ready, HarnessError when the place itself cannot be had.
        """

    def down(self) -> None:
        """Nothing that was made for the stack is left but the run's directory."""


def require_environment(place: Place) -> None:
    """Raises HarnessError naming the programs the environment needs and this machine lacks, InputError for what was
    asked of it and is wrong. Nothing is touched."""
    if place.environment == "local":
        choose_parts()
        return
    load_mapping(place.images)
    if place.environment == "kind":
        require_tools()
    else:
        require_lent(place.cluster)


def require_images(place: Place, stack: Stack) -> None:
    """Raises InputError for images of the stack that the place's mapping does not have. Nothing is touched."""
    workloads = with_receiver(stack).workloads
    if place.environment == "local":
        resolve_parts(choose_parts(), workloads, place.images)
    else:
        load_mapping(place.images).resolve_all(workloads)


def make_environment(
    place: Place,
    stack: Stack,
    run_dir: Path,
    *,
    time_scale: float,
    seed: int,
    load_target: str | None = None,
    dies_with_harness: bool = True,
) -> Environment:
    """The environment, not yet up. ``load_target``: the Service that is to get the load, as ``namespace/name:port``.
    ``dies_with_harness``: whether it ends when this process is killed.

    Raises InputError for what was asked of it and cannot be, HarnessError for a missing program.
    """
    if place.environment == "local":
        return LocalEnvironment(
            stack,
            run_dir,
            images=place.images,
            time_scale=time_scale,
            seed=seed,
            dies_with_harness=dies_with_harness,
        )
    return make_cluster(
        place,
        stack,
        run_dir,
        time_scale=time_scale,
        seed=seed,
        load_target=load_target,
        dies_with_harness=dies_with_harness,
    )


def make_cluster(
    place: Place,
    stack: Stack,
    run_dir: Path,
    *,
    time_scale: float,
    seed: int,
    load_target: str | None = None,
    dies_with_harness: bool = True,
) -> ClusterEnvironment:
    """The cluster environment of a place that is not this machine, not yet up. Raises InputError, HarnessError."""
    run_dir = run_dir.resolve()
    kind = place.environment == "kind"
    source = KindSource(place.cluster, run_dir) if kind else ContextSource(place.cluster, run_dir)
    return ClusterEnvironment(
        stack,
        run_dir,
        source,
        images=place.images,
        time_scale=time_scale,
        seed=seed,
        entry=load_target if place.cluster.load_outside else None,
        dies_with_harness=dies_with_harness,
    )
