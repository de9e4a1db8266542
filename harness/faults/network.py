"""Faults of the network between the pods of two workloads: packets that are lost, packets that are late."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from harness.errors import HarnessError, PodGone
from harness.faults.picking import pods_of, uid_of
from harness.faults.world import ClusterWorld, Pod, World, cluster_of

Record = Mapping[str, Any]
# Every rule bears its fault's, so that they are found again whatever became of the addresses they name.
_CUT, _SLOW = "harness-cut", "harness-slow"
# Of the time that a connection should take, what it takes at least where the kernel's clock is coarse.
_SEEN_SHARE = 0.9


def plan_cut(world: World, *, workload: str, to_workload: str, namespace: str | None) -> Record:
    """The record of parting the pods of two workloads, ``namespace`` being the first one's."""
    return _plan(world, workload, to_workload, namespace, _CUT)


def cut(world: World, record: Record) -> None:
    """Rules at both ends. Behind a Service a pod knows only the Service's address, the pod that answers knows its own
    and its caller's."""
    cluster_of(world).drop_packets(_both_ways(record), mark=record["mark"])


def is_cut(world: World, record: Record) -> str | None:
    """That no connection is made any more where one was made before, and that rules did drop packets."""
    cluster = cluster_of(world)
    if any(took_s is not None for took_s in _connections(cluster, _pairs(record["from"], record["to"]))):
        return None
    dropped = _counted(cluster, record)
    return f"no TCP connection to {_places(record)}; {dropped} packets dropped" if dropped else None


def join(world: World, record: Record) -> None:
    """No pod of either workload has such a rule, be it one of then or of now."""
    cluster_of(world).accept_packets(_all_pods(world, record), mark=record["mark"])


def joined(world: World, record: Record) -> str | None:
    """That no rule is left, and the pods that are still there reach each other."""
    if _has_rules(world, record) or None in _connections(cluster_of(world), _pairs_still_there(world, record)):
        return None
    return f"no rule drops packets between {' and '.join(record['workloads'])} any more"


def plan_delay(world: World, *, workload: str, to_workload: str, delay_ms: int, namespace: str | None) -> Record:
    """The record of delaying what passes between the pods of two workloads, ``namespace`` being the first one's."""
    record = _plan(world, workload, to_workload, namespace, _SLOW)
    cluster = cluster_of(world)
    ends = (*record["from"], *record["to"])
    for node in dict.fromkeys(end["node"] for end in ends):
        cluster.require_delays(node)
    for end in ends:
        if cluster.counted_packets(end["pod"], end["namespace"], mark=_SLOW) is not None:
            raise HarnessError(f"pod {end['pod']}: packets of it are delayed already")
    return {**record, "delay_ms": delay_ms}


def delay(world: World, record: Record) -> None:
    """Each pod's packets to the other end leave later."""
    cluster_of(world).delay_packets(_both_ways(record), mark=record["mark"], delay_ms=record["delay_ms"])


def delayed(world: World, record: Record) -> str | None:
    """That a connection takes as long as two packets that are delayed, and that rules did hold packets back."""
    expected_s = 2 * record["delay_ms"] / 1000
    cluster = cluster_of(world)
    took = list(_connections(cluster, _pairs(record["from"], record["to"]), within_s=expected_s + 1.0))
    if any(each is None or each < _SEEN_SHARE * expected_s for each in took):
        return None
    held = _counted(cluster, record)
    least_s = min(each for each in took if each is not None)
    return f"a TCP connection to {_places(record)} takes {least_s:.2f} s; {held} packets held back" if held else None


def hasten(world: World, record: Record) -> None:
    """Packets leave at once, also where a pod is gone and only what was done for it is left."""
    ends = [(each["node"], each["uid"]) for each in (*record["from"], *record["to"])]
    cluster_of(world).hasten_packets(ends, mark=record["mark"])


def hastened(world: World, record: Record) -> str | None:
    """No rule is left, and a connection between pods that are still there takes less time than one delay."""
    took = _connections(cluster_of(world), _pairs_still_there(world, record))
    if _has_rules(world, record) or any(each is None or each >= record["delay_ms"] / 1000 for each in took):
        return None
    return f"no packet between {' and '.join(record['workloads'])} is held back any more"


def _plan(world: World, workload: str, to_workload: str, namespace: str | None, mark: str) -> Record:
    """Both ends, each pod of one reaching each of the other as it is."""
    cluster = cluster_of(world)
    ends = [_end(cluster, pod) for pod in pods_of(world, workload, namespace)]
    others = [_end(cluster, pod) for pod in pods_of(world, to_workload, None)]
    for one, other in _pairs(ends, others):
        if one["address"] == other["address"]:
            raise HarnessError(f"pods {one['pod']} and {other['pod']} share an address: no packet passes between them")
        if _connect_s(cluster, one, other) is None:
            raise HarnessError(f"pod {one['pod']} does not reach {_place(other)} as it is: there is nothing to break")
    return {"from": ends, "to": others, "workloads": [workload, to_workload], "mark": mark}


def _end(cluster: ClusterWorld, pod: Pod) -> dict[str, Any]:
    address, port = cluster.address(pod.name, pod.namespace)
    return {
        "pod": pod.name,
        "namespace": pod.namespace,
        "address": address,
        "port": port,
        "node": cluster.node_of(pod.name, pod.namespace),
        "uid": uid_of(cluster, pod),
    }


def _pairs(ends: Sequence[Record], others: Sequence[Record]) -> Iterator[tuple[Record, Record]]:
    return ((one, other) for one in ends for other in others if one["uid"] != other["uid"])


def _both_ways(record: Record) -> list[tuple[str, str, str]]:
    """For each pod its name, its namespace and the address of one at the other end."""
    return [
        (here["pod"], here["namespace"], there["address"])
        for one, other in _pairs(record["from"], record["to"])
        for here, there in ((one, other), (other, one))
    ]


def _connect_s(cluster: ClusterWorld, one: Record, other: Record, within_s: float = 1.0) -> float | None:
    address, port = other["address"], other["port"]
    return cluster.connect_s(one["pod"], one["namespace"], address=address, port=port, within_s=within_s)


def _connections(
    cluster: ClusterWorld, pairs: Iterable[tuple[Record, Record]], within_s: float = 1.0
) -> Iterator[float | None]:
    """How long a connection takes from the first of each pair to the other, one after another."""
    return (_connect_s(cluster, one, other, within_s) for one, other in pairs)


def _pairs_still_there(world: World, record: Record) -> Iterator[tuple[Record, Record]]:
    pairs = _pairs(record["from"], record["to"])
    return (pair for pair in pairs if all(_is_there(world, end) for end in pair))


def _counted(cluster: ClusterWorld, record: Record) -> int:
    """The packets that the rules at the first end have met."""
    return sum(
        cluster.counted_packets(one["pod"], one["namespace"], mark=record["mark"]) or 0 for one in record["from"]
    )


def _has_rules(world: World, record: Record) -> bool:
    for pod, namespace in _all_pods(world, record):
        with contextlib.suppress(PodGone):
            if cluster_of(world).counted_packets(pod, namespace, mark=record["mark"]) is not None:
                return True
    return False


def _place(end: Record) -> str:
    return f"{end['pod']}:{end['port']}"


def _places(record: Record) -> str:
    return ", ".join(sorted({_place(other) for _, other in _pairs(record["from"], record["to"])}))


def _all_pods(world: World, record: Record) -> list[tuple[str, str]]:
    then = [(each["pod"], each["namespace"]) for each in (*record["from"], *record["to"])]
    now = [(pod.name, pod.namespace) for name in record["workloads"] for pod in world.pods(name)]
    return list(dict.fromkeys([*then, *now]))


def _is_there(world: World, end: Record) -> bool:
    return any(pod.namespace == end["namespace"] for pod in world.pods(end["pod"], end["namespace"]))
