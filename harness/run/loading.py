"""Which Service of a running stack gets the load, and the load itself."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from harness.environments.kube.cluster import Cluster
from harness.errors import HarnessError
from harness.evidence.timeline import Timeline
from harness.load.cluster_run import ClusterLoad
from harness.load.locust_run import LoadPlan, LocustRun
from harness.run.running import Running
from harness.stack import Stack

# Longer than any run, also of a large stack in real time: the run ends its load.
_DURATION_S = 7 * 24 * 3600.0


class Load(Protocol):
    """Load under way, wherever it is made."""

    @property
    def windows(self) -> int:
        """How many windows were recorded."""

    def start(self) -> None:
        """Begins it, from the main thread. Raises HarnessError."""

    def poll(self) -> None:
        """Records what was done since the last poll."""

    def stop(self) -> None:
        """Ends it. Doing it again does nothing."""


def serving_targets(stack: Stack) -> list[str]:
    """The inference Services as ``namespace/service:port``: labelled ``app: model-serving``, port named ``http``."""
    return [
        service.target(port)
        for service in stack.services
        if service.labels.get("app") == "model-serving"
        for port in service.ports
        if port.name == "http"
    ]


def load_target(stack: Stack, asked: str | None) -> str | None:
    """The Service that load is meant for, before anything runs: the one asked for, or the first for inference."""
    return asked or next(iter(serving_targets(stack)), None)


def find_target(stack: Stack, environment: Running) -> str | None:
    """The first inference Service behind which there is a pod."""
    return next((target for target in serving_targets(stack) if target in environment.state.services), None)


def make_load(
    environment: Running,
    target: str,
    *,
    rate: float,
    model_name: str,
    workers: int,
    run_dir: Path,
    timeline: Timeline,
) -> Load:
    """The load, not yet begun: a process here, or ``workers`` pods in a cluster beside their master. A cluster with a
    port on this machine gets it from here, through that.

    Raises HarnessError when no pod is behind the Service.
    """
    services = environment.state.services
    if target not in services:
        known = ", ".join(services) or "none"
        raise HarnessError(f"load: no pod is behind the Service {target}; the stack has: {known}")
    cluster = environment if isinstance(environment, Cluster) else None
    entry = cluster.state.entry if cluster else ""
    address = entry or (_address(cluster, target) if cluster else services[target])
    plan = LoadPlan(
        base_url=f"http://{address}",
        rate=rate,
        duration_s=_DURATION_S,
        seed=environment.state.seed,
        model_name=model_name,
    )
    if cluster is None or entry:
        return LocustRun(plan, run_dir=run_dir, clock=timeline.clock, record=timeline.record)
    return ClusterLoad(
        plan,
        cluster,
        namespace=cluster.state.own_namespace,
        image=cluster.state.own_image,
        workers=workers,
        labels={},
        allow_host=address.rpartition(":")[0],
        run_dir=run_dir,
        clock=timeline.clock,
        record=timeline.record,
    )


def _address(cluster: Cluster, target: str) -> str:
    """The Service's own address: names would be looked up anew for each connection."""
    place, _, port = target.rpartition(":")
    namespace, _, name = place.partition("/")
    return f"{cluster.service_address(namespace, name)}:{port}"
