"""Faults of memory: a container that runs out of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.faults.picking import drawn, main_of, pods_of, reference
from harness.faults.world import World, cluster_of

Record = Mapping[str, Any]
_REASON = "OOMKilled"


def plan(world: World, *, workload: str, namespace: str | None, seed: int) -> Record:
    """The record of exhausting the memory of one of the workload's pods, drawn by the seed.

    One of which a container ended before waits longer and longer until it is started again: another is taken if there
    is one.
    """
    cluster = cluster_of(world)
    pods = pods_of(world, workload, namespace)
    ended = {(pod.namespace, pod.name): cluster.last_end(pod.name, pod.namespace)[0] for pod in pods}
    fresh = [pod for pod in pods if not ended[pod.namespace, pod.name]]
    pod = drawn(fresh or pods, seed)
    return {**main_of(world, pod), "ended_before": ended[pod.namespace, pod.name]}


def exhaust(world: World, record: Record) -> None:
    """The kernel kills the container's main process, as when it had taken all its memory itself."""
    cluster_of(world).exhaust_memory(record["pod"], record["namespace"], process=reference(record["main"]))


def exhausted(world: World, record: Record) -> str | None:
    """That the API says of a container that ended since: out of memory."""
    ended, reason = cluster_of(world).last_end(record["pod"], record["namespace"])
    if ended in ("", record["ended_before"]) or reason != _REASON:
        return None
    return f"the API says why container {ended[:12]} of {record['pod']} ended: {reason}"
