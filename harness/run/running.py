"""An environment that runs, whichever it is: what faults, collectors and commands need of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from harness.environments.description import read_description
from harness.environments.kube.attaching import attach_cluster
from harness.environments.local.node import LocalNode
from harness.environments.local.state import NodeState
from harness.errors import HarnessError
from harness.evidence.pods import PodSource
from harness.faults.world import World


class State(Protocol):
    """What an environment says of itself. URLs are reachable from this process.

    ``services``: ``namespace/name:port`` of each Service → what follows ``http://`` to reach it.
    ``not_exercised``: what of the stack this environment leaves out.
    """

    @property
    def environment(self) -> str: ...
    @property
    def run_dir(self) -> str: ...
    @property
    def stack(self) -> str: ...
    @property
    def time_scale(self) -> float: ...
    @property
    def seed(self) -> int: ...
    @property
    def prometheus(self) -> str: ...
    @property
    def prometheus_pod(self) -> str: ...
    @property
    def alertmanagers(self) -> tuple[str, ...]: ...
    @property
    def receivers(self) -> tuple[str, ...]: ...
    @property
    def services(self) -> Mapping[str, str]: ...
    @property
    def gpu(self) -> str: ...
    @property
    def not_exercised(self) -> tuple[str, ...]: ...
    @property
    def versions(self) -> Mapping[str, str]: ...
    @property
    def ready_s(self) -> float | None: ...


class Running(World, PodSource, Protocol):
    """A running environment. Any process of the same user may attach to one."""

    @property
    def state(self) -> State: ...

    def alive(self) -> bool:
        """Whether it still runs."""

    def stop(self) -> None:
        """Takes it down and removes all that was made for it. Doing it again does nothing."""


def attach(run_dir: Path) -> Running:
    """The environment a run directory describes, running or not. Raises HarnessError when none is described."""
    name = read_description(run_dir)["environment"]
    if name == "local":
        return LocalNode(NodeState.load(run_dir))
    if name in ("kind", "kube"):
        return attach_cluster(run_dir)
    raise HarnessError(f"{run_dir}: no environment is named {name!r} in this version")
