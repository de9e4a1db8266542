"""What another process needs to know of a running cluster environment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.environments.description import read_description, write_description
from harness.errors import HarnessError


def run_label(run: str) -> str:
    """A run's name in the letters a label may have, 63 at most."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", run).strip("-_.")[-63:].lstrip("-_.") or "run"


@dataclass(frozen=True, slots=True)
class ClusterState:
    """Kept as ``environment.json`` in the run directory, from before the cluster is made until after it is gone.

    ``cluster``: the kind cluster's name; empty for a cluster that is not the harness's own. ``keep``: whether the
    cluster outlives the run. ``namespaces``: where the stack and the harness act; ``own_namespace``: where the harness
    keeps what is its own; ``beyond``: further ones in which objects of the stack lie, and no pods. ``kinds``: of all
    objects that were made. ``lent``: the cluster is somebody else's. ``proxy``: the URL at which ``kubectl proxy``
    gives the API; the ``*_path``s are below it. ``services``: Service → its path. ``entry``: ``host:port`` on this
    machine that leads to the Service that gets the load; empty where load comes from pods. ``own_image``: of the
    harness's own package, which the load's pods run. ``gpu_file``: the simulated devices' state; empty without.
    """

    environment: str
    run_dir: str
    stack: str
    stack_sha256: str
    time_scale: float
    seed: int
    cluster: str
    keep: bool
    kubeconfig: str
    context: str
    account_kubeconfig: str
    namespaces: tuple[str, ...]
    own_namespace: str
    lent: bool
    gpu: str
    gpu_file: str
    beyond: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    prometheus_path: str = ""
    prometheus_pod: str = ""
    alertmanager_paths: tuple[str, ...] = ()
    receiver_paths: tuple[str, ...] = ()
    service_paths: Mapping[str, str] = field(default_factory=dict)
    own_image: str = ""
    entry: str = ""
    proxy: str = ""
    proxy_pid: int = 0
    proxy_started: float = 0.0
    not_exercised: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    ready_s: float | None = None
    ended: bool = False

    @property
    def run_label(self) -> str:
        """The value of the label on all that this run makes."""
        return run_label(Path(self.run_dir).name)

    @property
    def prometheus(self) -> str:
        """Prometheus's URL on this machine."""
        return self.proxy + self.prometheus_path

    @property
    def alertmanagers(self) -> tuple[str, ...]:
        """The Alertmanagers' URLs on this machine."""
        return tuple(self.proxy + path for path in self.alertmanager_paths)

    @property
    def receivers(self) -> tuple[str, ...]:
        """The notification receivers' URLs on this machine."""
        return tuple(self.proxy + path for path in self.receiver_paths)

    @property
    def services(self) -> Mapping[str, str]:
        """``namespace/name:port`` of each Service → what follows ``http://`` to reach it from this machine."""
        prefix = self.proxy.removeprefix("http://")
        return {name: prefix + path for name, path in self.service_paths.items()}

    def save(self) -> None:
        """Writes the state file, whole or not at all."""
        write_description(Path(self.run_dir), self)

    @classmethod
    def load(cls, run_dir: Path) -> ClusterState:
        """Raises HarnessError when the directory holds no cluster environment."""
        raw = read_description(run_dir)
        try:
            for name in ("namespaces", "beyond", "kinds", "alertmanager_paths", "receiver_paths", "not_exercised"):
                raw[name] = tuple(raw[name])
            return cls(**raw)
        except (KeyError, TypeError) as error:
            raise HarnessError(f"{run_dir}: no cluster environment is described here: {error}") from error
