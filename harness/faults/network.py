"""Faults of the network between pods: packets that are lost, packets that are late."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.errors import HarnessError, PodGone
from harness.faults.picking import pods_of
from harness.faults.world import ClusterWorld, Pod, World, cluster_of

Record = Mapping[str, Any]
# Every rule bears it, so that they are found again whatever became of the addresses they name.
_MARK = "harness-cut"


def plan_cut(world: World, *, workload: str, to_workload: str, namespace: str | None) -> Record:
    """The record of parting the pods of two workloads, ``namespace`` being the first one's."""
    cluster = cluster_of(world)
    ends = [_end(cluster, pod) for pod in pods_of(world, workload, namespace)]
    others = [_end(cluster, pod) for pod in pods_of(world, to_workload, None)]
    for one, other in _pairs(ends, others):
        if one["address"] == other["address"]:
            raise HarnessError(f"pods {one['pod']} and {other['pod']} share an address: they cannot be parted")
        if not _connects(cluster, one, other):
            raise HarnessError(f"pod {one['pod']} does not reach {_place(other)} as it is: there is nothing to cut")
    return {"from": ends, "to": others, "workloads": [workload, to_workload], "mark": _MARK}


def cut(world: World, record: Record) -> None:
    """Rules at both ends. Behind a Service a pod knows only the Service's address, the pod that answers knows its own
    and its caller's."""
    parted = [
        (here["pod"], here["namespace"], there["address"])
        for one, other in _pairs(record["from"], record["to"])
        for here, there in ((one, other), (other, one))
    ]
    cluster_of(world).drop_packets(parted, mark=record["mark"])


def is_cut(world: World, record: Record) -> str | None:
    """That no connection is made any more where one was made before, and that rules did drop packets."""
    cluster = cluster_of(world)
    pairs = list(_pairs(record["from"], record["to"]))
    if any(_connects(cluster, one, other) for one, other in pairs):
        return None
    dropped = sum(
        cluster.dropped_packets(one["pod"], one["namespace"], mark=record["mark"]) or 0 for one in record["from"]
    )
    places = ", ".join(sorted({_place(other) for _, other in pairs}))
    return f"no TCP connection to {places}; {dropped} packets dropped" if dropped else None


def join(world: World, record: Record) -> None:
    """No pod of either workload has such a rule, be it one of then or of now."""
    cluster_of(world).accept_packets(_all_pods(world, record), mark=record["mark"])


def joined(world: World, record: Record) -> str | None:
    """That no rule is left, and the pods that are still there reach each other."""
    cluster = cluster_of(world)
    for pod, namespace in _all_pods(world, record):
        with contextlib.suppress(PodGone):
            if cluster.dropped_packets(pod, namespace, mark=record["mark"]) is not None:
                return None
    for one, other in _pairs(record["from"], record["to"]):
        if _is_there(world, one) and _is_there(world, other) and not _connects(cluster, one, other):
            return None
    return f"no rule drops packets between {' and '.join(record['workloads'])} any more"


def plan_delay(world: World, *, workload: str, delay_ms: int, namespace: str | None) -> Record:
    """The record of delaying what each of the workload's pods sends."""
    cluster = cluster_of(world)
    pods = pods_of(world, workload, namespace)
    for pod in pods:
        cluster.require_delays(pod.name, pod.namespace)
        if cluster.packet_delay(pod.name, pod.namespace) is not None:
            raise HarnessError(f"pod {pod.name}: its packets are delayed already")
    slowed = [{"pod": pod.name, "namespace": pod.namespace} for pod in pods]
    return {"slowed": slowed, "workload": workload, "delay_ms": delay_ms}


def delay(world: World, record: Record) -> None:
    """Each pod's packets leave later."""
    for each in record["slowed"]:
        cluster_of(world).delay_packets(each["pod"], each["namespace"], delay_ms=record["delay_ms"])


def delayed(world: World, record: Record) -> str | None:
    """That the kernel has a delay for each pod."""
    seen = {each["pod"]: cluster_of(world).packet_delay(each["pod"], each["namespace"]) for each in record["slowed"]}
    if any(said is None for said in seen.values()):
        return None
    return "the kernel delays " + ", ".join(f"{pod} by {said}" for pod, said in seen.items())


def hasten(world: World, record: Record) -> None:
    """Packets leave at once."""
    for each in record["slowed"]:
        with contextlib.suppress(PodGone):
            cluster_of(world).delay_packets(each["pod"], each["namespace"], delay_ms=0)


def hastened(world: World, record: Record) -> str | None:
    """That the kernel delays no packet of the pods that are still there."""
    for each in record["slowed"]:
        with contextlib.suppress(PodGone):
            if cluster_of(world).packet_delay(each["pod"], each["namespace"]) is not None:
                return None
    return f"no packet of {record['workload']} is delayed"


def _end(cluster: ClusterWorld, pod: Pod) -> dict[str, Any]:
    address, port = cluster.address(pod.name, pod.namespace)
    return {"pod": pod.name, "namespace": pod.namespace, "address": address, "port": port}


def _pairs(ends: Sequence[Record], others: Sequence[Record]) -> Iterator[tuple[Record, Record]]:
    return ((one, other) for one in ends for other in others if one["pod"] != other["pod"])


def _connects(cluster: ClusterWorld, one: Record, other: Record) -> bool:
    return cluster.connects(one["pod"], one["namespace"], address=other["address"], port=other["port"])


def _place(end: Record) -> str:
    return f"{end['pod']}:{end['port']}"


def _all_pods(world: World, record: Record) -> list[tuple[str, str]]:
    then = [(each["pod"], each["namespace"]) for each in (*record["from"], *record["to"])]
    now = [(pod.name, pod.namespace) for name in record["workloads"] for pod in world.pods(name)]
    return list(dict.fromkeys([*then, *now]))


def _is_there(world: World, end: Record) -> bool:
    return any(pod.namespace == end["namespace"] for pod in world.pods(end["pod"], end["namespace"]))
