"""A cluster in memory to break: nodes, rules, delays and templates as plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import HarnessError, PodGone
from harness.model import ProcessRef
from tests.faults.worlds import SmallPod, SmallWorld


@dataclass
class SmallCluster:
    """One node ``n1`` with all pods; a pod's address is its name. What is broken is broken at once unless ``numb``."""

    world: SmallWorld
    status: str = "True"
    schedulable: bool = True
    evicted: list[str] = field(default_factory=list)
    lingering: list[str] = field(default_factory=list)
    uids: dict[str, str | None] = field(default_factory=dict)
    rules: dict[str, set[tuple[str, str]]] = field(default_factory=dict)
    delays: dict[str, int] = field(default_factory=dict)
    can_delay: bool = True
    ends: dict[str, tuple[str, str]] = field(default_factory=dict)
    reason: str = "OOMKilled"
    template: dict[str, str] = field(default_factory=lambda: {"image": "app:1", "policy": "IfNotPresent"})
    kind: str = "Deployment"
    waits: dict[str, str] = field(default_factory=dict)
    unfinished: str | None = None
    numb: bool = False
    orders: list[str] = field(default_factory=list)

    def node_of(self, pod: str, namespace: str) -> str:
        return "n1"

    def node_status(self, node: str) -> str:
        return self.status

    def stop_kubelet(self, node: str) -> None:
        self.orders.append(f"stop {node}")
        self.status = self.status if self.numb else "Unknown"

    def start_kubelet(self, node: str) -> None:
        self.orders.append(f"start {node}")
        self.status = self.status if self.numb else "True"

    def set_schedulable(self, node: str, schedulable: bool) -> None:
        self.schedulable = schedulable

    def is_schedulable(self, node: str) -> bool:
        return self.schedulable

    def evict(self, pod: str, namespace: str) -> None:
        self.evicted.append(pod)
        if not self.numb:
            self.world.workloads["app"] = [SmallPod(f"{each.name}-next") for each in self.world.workloads["app"]]

    def uid_of(self, pod: str, namespace: str) -> str | None:
        names = [each.name for pods in self.world.workloads.values() for each in pods]
        return self.uids.get(pod, f"uid of {pod}") if pod in names else None

    def pending(self, workload: str, namespace: str) -> Sequence[str]:
        pods = [pod.name for pod in self.world.pods(workload, namespace)]
        return [] if self.schedulable else [name for name in pods if name.endswith("-next")]

    def still_running(self, pods: Sequence[str], namespace: str) -> Sequence[str]:
        return self.lingering

    def ready_pods(self, workload: str, namespace: str) -> Sequence[str]:
        pending = self.pending(workload, namespace)
        return [pod.name for pod in self.world.pods(workload, namespace) if pod.name not in pending]

    def address(self, pod: str, namespace: str) -> tuple[str, int]:
        return pod, 80

    def drop_packets(self, parted: Sequence[tuple[str, str, str]], *, mark: str) -> None:
        for pod, _, address in parted:
            self._require(pod)
            self.rules.setdefault(pod, set()).add((address, mark))

    def accept_packets(self, pods: Sequence[tuple[str, str]], *, mark: str) -> None:
        for pod, _ in pods:
            self.rules[pod] = {rule for rule in self.rules.get(pod, set()) if rule[1] != mark}

    def counted_packets(self, pod: str, namespace: str, *, mark: str) -> int | None:
        self._require(pod)
        found = [rule for rule in self.rules.get(pod, set()) if rule[1] == mark]
        return len(found) if found else None

    def connect_s(self, pod: str, namespace: str, *, address: str, port: int, within_s: float) -> float | None:
        self._require(pod)
        met = [
            mark for here, there in ((pod, address), (address, pod)) for at, mark in self._rules(here) if at == there
        ]
        if self.numb or not met:
            return 0.001
        took_s = sum(self.delays[here] / 1000 for here in (pod, address) if here in self.delays)
        return took_s if 0 < took_s < within_s else None

    def _rules(self, pod: str) -> set[tuple[str, str]]:
        return self.rules.get(pod, set())

    def require_delays(self, node: str) -> None:
        if not self.can_delay:
            raise HarnessError("node n1 cannot delay packets: no such target")

    def delay_packets(self, parted: Sequence[tuple[str, str, str]], *, mark: str, delay_ms: int) -> None:
        self.drop_packets(parted, mark=mark)
        self.delays |= {pod: delay_ms for pod, _, _ in parted}

    def hasten_packets(self, ends: Sequence[tuple[str, str]], *, mark: str) -> None:
        pods = [uid.removeprefix("uid of ") for _, uid in ends]
        self.accept_packets([(pod, "n") for pod in pods], mark=mark)
        self.delays = {pod: delay for pod, delay in self.delays.items() if pod not in pods}

    def exhaust_memory(self, pod: str, namespace: str, *, process: ProcessRef) -> None:
        self.ends[pod] = (f"container-{process.pid}", self.reason)

    def last_end(self, pod: str, namespace: str) -> tuple[str, str]:
        return self.ends.get(pod, ("", ""))

    def image(self, workload: str, namespace: str | None) -> Mapping[str, Any]:
        return {"kind": self.kind, "namespace": namespace or "n", "name": workload, **self.template}

    def set_image(self, kind: str, name: str, namespace: str, *, image: str, policy: str) -> None:
        self.template = {"image": image, "policy": policy}
        if ".invalid/" in image:
            self.waits = {} if self.numb else {f"{name}-new": "ImagePullBackOff"}
        elif self.kind == "Deployment":  # a StatefulSet waits for its broken pod
            self.waits = {}

    def replace_stuck(self, stateful_set: str, namespace: str) -> None:
        if ".invalid/" not in self.template["image"]:
            self.waits = {}

    def rollout(self, kind: str, name: str, namespace: str) -> str | None:
        return self.unfinished

    def waiting(self, workload: str, namespace: str) -> Mapping[str, str]:
        return self.waits

    def _require(self, pod: str) -> None:
        names = {each.name for pods in self.world.workloads.values() for each in pods}
        if pod not in names:
            raise PodGone(f"no pod {pod}")


@dataclass
class ClusterLike(SmallWorld):
    """A small world that is a cluster."""

    cluster: SmallCluster = field(init=False)

    def __post_init__(self) -> None:
        self.cluster = SmallCluster(self)


def small_cluster(root: Path) -> ClusterLike:
    """Two pods of ``app``, one of ``other``."""
    return ClusterLike(
        root, {"app": [SmallPod("app-0"), SmallPod("app-1")], "other": [SmallPod("other-0", workload="other")]}
    )
