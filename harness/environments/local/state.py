"""What another process needs to know of a running local node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.environments.description import read_description, write_description
from harness.errors import HarnessError


@dataclass(frozen=True, slots=True)
class RunningPod:
    """A pod on the node. ``programs`` maps its containers to their supervised programs, ``volumes`` its volumes' names
    to their paths as the node sees them. ``images``: what its containers run in Docker; empty where they are processes
    of this machine's own programs. ``sub_paths``: the volumes of which a container mounts a part by subPath.
    """

    namespace: str
    name: str
    workload: str
    address: str
    ports: Mapping[str, int]
    programs: Mapping[str, str]
    volumes: Mapping[str, str]
    labels: Mapping[str, str]
    completes: bool
    images: tuple[str, ...] = ()
    sub_paths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NodeState:
    """All that another process needs to work with a running node; kept as ``environment.json`` in its run directory."""

    run_dir: str
    stack: str
    stack_sha256: str
    time_scale: float
    seed: int
    pid: int
    pid_started: float
    address: str
    password: str
    prometheus: str
    prometheus_pod: str
    alertmanagers: tuple[str, ...]
    receivers: tuple[str, ...]
    services: Mapping[str, str]  # "namespace/name:port" → "address:port"
    pods: tuple[RunningPod, ...]
    gpu: str
    not_exercised: tuple[str, ...]
    versions: Mapping[str, str]
    ready_s: float | None = None
    environment: str = "local"
    docker_host: str = ""  # where Docker is, and the key of what it runs for this node; empty when nothing
    docker_key: str = ""

    def save(self) -> None:
        """Writes the state file, whole or not at all."""
        write_description(Path(self.run_dir), self)

    @classmethod
    def load(cls, run_dir: Path) -> NodeState:
        """Raises HarnessError when the directory holds no local environment."""
        raw = read_description(run_dir)
        try:
            pods = tuple(
                RunningPod(**{**pod, **{name: tuple(pod.get(name, ())) for name in ("images", "sub_paths")}})
                for pod in raw.pop("pods")
            )
            for name in ("alertmanagers", "receivers", "not_exercised"):
                raw[name] = tuple(raw[name])
            return cls(pods=pods, **raw)
        except (KeyError, TypeError) as error:
            raise HarnessError(f"{run_dir}: no local environment is described here: {error}") from error
