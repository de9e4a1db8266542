"""The pods and processes that a fault is about, drawn by the run's seed and told in its record."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from harness.errors import HarnessError
from harness.faults.world import ClusterWorld, Pod, World
from harness.model import ProcessRef


def pods_of(world: World, workload: str, namespace: str | None, *, removable: bool = False) -> Sequence[Pod]:
    """The pods of a workload, or those of them that can be kept down. Raises HarnessError when there is none."""
    pods = (world.removable if removable else world.pods)(workload, namespace)
    if not pods:
        raise HarnessError(f"no pod of workload {workload!r}" + (f" in namespace {namespace}" if namespace else ""))
    return pods


def drawn(pods: Sequence[Pod], seed: int) -> Pod:
    """The one of these pods that the seed draws."""
    return random.Random(seed).choice(pods)


def one_of(world: World, workload: str, namespace: str | None, seed: int) -> Pod:
    """The pod of a workload that the seed draws. Raises HarnessError when there is none."""
    return drawn(pods_of(world, workload, namespace), seed)


def main_of(world: World, pod: Pod) -> dict[str, Any]:
    """The record of a pod and its main process. Raises HarnessError when it does not run."""
    processes = world.processes(pod.name, pod.namespace)
    if not processes:
        raise HarnessError(f"pod {pod.name} is not running: there is nothing to disturb")
    return {"pod": pod.name, "namespace": pod.namespace, "main": recorded(processes[0])}


def uid_of(cluster: ClusterWorld, pod: Pod) -> str:
    """What tells a pod from a later one of its name. Raises HarnessError for one that is about to end."""
    uid = cluster.uid_of(pod.name, pod.namespace)
    if uid is None:
        raise HarnessError(f"pod {pod.name} is about to end: there is nothing to break")
    return uid


def recorded(process: ProcessRef) -> dict[str, Any]:
    """A process as a record holds it."""
    return {"pid": process.pid, "started": process.started, **({"node": process.node} if process.node else {})}


def reference(raw: Mapping[str, Any]) -> ProcessRef:
    """The process of a record."""
    return ProcessRef(int(raw["pid"]), float(raw["started"]), str(raw.get("node", "")))
