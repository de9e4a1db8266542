"""Faults of a cluster's node and of where its pods are: a kubelet that stops, a pod evicted, a node drained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.errors import HarnessError
from harness.faults.picking import one_of, pods_of, uid_of
from harness.faults.world import World, cluster_of

Record = Mapping[str, Any]


def plan_stop(world: World, *, workload: str, namespace: str | None, seed: int) -> Record:
    """The record of stopping the kubelet of the node on which one of the workload's pods is."""
    cluster = cluster_of(world)
    pod = one_of(world, workload, namespace, seed)
    node = cluster.node_of(pod.name, pod.namespace)
    status = cluster.node_status(node)
    if status != "True":
        raise HarnessError(f"node {node} is not ready ({status}): its kubelet cannot be stopped to any effect")
    return {"node": node}


def stop_kubelet(world: World, record: Record) -> None:
    """The kubelet ends; what it has started runs on."""
    cluster_of(world).stop_kubelet(record["node"])


def silent(world: World, record: Record) -> str | None:
    """That the API says the node is no longer ready."""
    status = cluster_of(world).node_status(record["node"])
    return None if status == "True" else f"the API has node {record['node']} as Ready: {status}"


def start_kubelet(world: World, record: Record) -> None:
    """The kubelet is started again."""
    cluster_of(world).start_kubelet(record["node"])


def ready(world: World, record: Record) -> str | None:
    """That the API says the node is ready."""
    status = cluster_of(world).node_status(record["node"])
    return f"the API has node {record['node']} as Ready: True" if status == "True" else None


def plan_evict(world: World, *, workload: str, namespace: str | None, seed: int) -> Record:
    """The record of evicting one of the workload's pods, drawn by the seed."""
    cluster = cluster_of(world)
    pod = one_of(world, workload, namespace, seed)
    return {"pod": pod.name, "namespace": pod.namespace, "uid": uid_of(cluster, pod)}


def evict(world: World, record: Record) -> None:
    """The API ends the pod, in good order; whoever owns it makes another."""
    cluster_of(world).evict(record["pod"], record["namespace"])


def evicted(world: World, record: Record) -> str | None:
    """That the API has the pod no more, and nothing of it runs."""
    cluster = cluster_of(world)
    uid = cluster.uid_of(record["pod"], record["namespace"])
    if uid == record["uid"] or (uid is None and cluster.still_running([record["pod"]], record["namespace"])):
        return None
    return f"the API has no pod {record['pod']} any more" if uid is None else f"pod {record['pod']} is another by now"


def plan_drain(world: World, *, workload: str, namespace: str | None) -> Record:
    """The record of keeping a workload's pods from the nodes they are on."""
    cluster = cluster_of(world)
    pods = pods_of(world, workload, namespace)
    namespaces = {pod.namespace for pod in pods}
    if len(namespaces) > 1:
        raise HarnessError(f"workload {workload!r} is in several namespaces, name one of: {', '.join(namespaces)}")
    nodes = sorted({cluster.node_of(pod.name, pod.namespace) for pod in pods})
    for node in nodes:
        if not cluster.is_schedulable(node):
            raise HarnessError(f"node {node} is cordoned already: nothing would say who may lift that")
    return {
        "workload": workload,
        "namespace": pods[0].namespace,
        "nodes": nodes,
        "pods": sorted(pod.name for pod in pods),
        "ready": len(cluster.ready_pods(workload, pods[0].namespace)),
    }


def drain(world: World, record: Record) -> None:
    """The nodes take no new pods, and the workload's pods are evicted from them."""
    cluster = cluster_of(world)
    for node in record["nodes"]:
        cluster.set_schedulable(node, False)
    for pod in record["pods"]:
        cluster.evict(pod, record["namespace"])


def drained(world: World, record: Record) -> str | None:
    """That the nodes are cordoned, nothing of the pods runs any more, and their successors have no node."""
    cluster = cluster_of(world)
    left = {pod.name for pod in world.pods(record["workload"], record["namespace"])}
    pending = set(cluster.pending(record["workload"], record["namespace"]))
    if not pending or left - pending or any(cluster.is_schedulable(node) for node in record["nodes"]):
        return None
    if cluster.still_running(record["pods"], record["namespace"]):
        return None
    return f"{', '.join(record['nodes'])} unschedulable, pending: {', '.join(sorted(pending))}"


def uncordon(world: World, record: Record) -> None:
    """The nodes take pods again."""
    for node in record["nodes"]:
        cluster_of(world).set_schedulable(node, True)


def undrained(world: World, record: Record) -> str | None:
    """That the nodes take pods, and as many of the workload's are ready as before."""
    cluster = cluster_of(world)
    found = cluster.ready_pods(record["workload"], record["namespace"])
    if len(found) < record["ready"] or not all(cluster.is_schedulable(node) for node in record["nodes"]):
        return None
    return f"{', '.join(record['nodes'])} schedulable, ready again: {', '.join(found)}"
