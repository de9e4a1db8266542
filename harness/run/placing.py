"""Where a run's stack is to stand: the environments there are, and what each needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from harness.environments.kube.environment import ClusterChoice, KindEnvironment
from harness.environments.kube.kind_cluster import require_tools
from harness.environments.local.environment import LocalEnvironment
from harness.environments.local.programs import PROGRAMS, require_programs
from harness.run.running import Running
from harness.stack import Stack


@dataclass(frozen=True, slots=True)
class Place:
    """What was asked for. Without anything it is this machine.

    ``node_image``: of kind's nodes; None: kind's own default. ``images``: the mapping of container images.
    """

    environment: str = "local"
    node_image: str | None = None
    images: str = "official"


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
    """Raises HarnessError naming the programs the environment needs and this machine lacks."""
    if place.environment == "kind":
        require_tools()
    else:
        require_programs(PROGRAMS)


def make_environment(
    place: Place, stack: Stack, run_dir: Path, *, time_scale: float, seed: int, dies_with_harness: bool = True
) -> Environment:
    """The environment, not yet up. ``dies_with_harness``: whether it ends when this process is killed."""
    if place.environment == "kind":
        choice = ClusterChoice(place.node_image, place.images)
        return KindEnvironment(
            stack, run_dir, choice, time_scale=time_scale, seed=seed, dies_with_harness=dies_with_harness
        )
    return LocalEnvironment(stack, run_dir, time_scale=time_scale, seed=seed, dies_with_harness=dies_with_harness)
