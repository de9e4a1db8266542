"""What a stack becomes on one node: pods with addresses, programs, volumes, services. Nothing is started here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.environments.local.addresses import AddressBlock
from harness.environments.local.containers import (
    MAX_VOLUME_BYTES,
    is_tmpfs,
    pod_key,
    unset_variables,
    volume_path,
    why_partial,
)
from harness.environments.local.sandbox import TmpfsMount
from harness.model import PodAddress
from harness.stack.objects import Container, Service, Stack, Workload


@dataclass(frozen=True, slots=True)
class PlannedPod:
    """A pod to run: its address and the manifest it comes from."""

    address: PodAddress
    workload: Workload

    def program(self, container: Container) -> str:
        """The supervised program's name of one of its containers."""
        return f"{pod_key(self.address)}.{container.name}"

    @property
    def part(self) -> str | None:
        """``prometheus`` or ``alertmanager`` where the operator would make it; None for any other pod."""
        return part_of(self.workload)


@dataclass(frozen=True, slots=True)
class PlannedService:
    """A Service with its own address; ``ports`` maps each port to the pods' (address, port) pairs behind it."""

    service: Service
    address: str
    ports: Mapping[int, tuple[tuple[str, int], ...]]


@dataclass(frozen=True, slots=True)
class NodePlan:
    """All that runs on the node."""

    pods: tuple[PlannedPod, ...]
    services: tuple[PlannedService, ...]
    volumes: tuple[TmpfsMount, ...]
    notes: tuple[str, ...]


def part_of(workload: Workload) -> str | None:
    """``prometheus`` or ``alertmanager`` where the operator would make it; None for any other workload."""
    return workload.labels.get("app.kubernetes.io/name") if workload.operated else None


def plan_node(stack: Stack, block: AddressBlock) -> NodePlan:
    """The node for a stack, with addresses out of the block."""
    pods = tuple(
        PlannedPod(_address(workload, name, block), workload)
        for workload in stack.workloads
        for name in workload.pod_names()
    )
    services = tuple(_plan_service(service, pods, block) for service in stack.services)
    volumes, notes = _plan_volumes(pods)
    return NodePlan(pods, services, volumes, (*notes, *_unset(pods)))


def host_names(plan: NodePlan, namespace: str) -> dict[str, tuple[str, ...]]:
    """The addresses behind every name that a pod of this namespace can use.

    A Service has its cluster names, and its bare name in its own namespace. A headless one answers with its pods, and
    each of them has a name under it.
    """
    names: dict[str, tuple[str, ...]] = {"localhost": ("127.0.0.1",)}
    for planned in plan.services:
        service = planned.service
        qualified = f"{service.name}.{service.namespace}"
        own = [service.name] if service.namespace == namespace else []
        aliases = [*own, qualified, f"{qualified}.svc", f"{qualified}.svc.cluster.local"]
        pods = [pod.address for pod in plan.pods if _selects(service, pod.address)] if service.headless else []
        addresses = tuple(pod.address for pod in pods) if service.headless else (planned.address,)
        for alias in aliases:
            names[alias] = addresses
            names.update({f"{pod.name}.{alias}": (pod.address,) for pod in pods})
    return names


def hosts_file(plan: NodePlan, namespace: str) -> str:
    """``host_names`` as ``/etc/hosts``."""
    lines = [f"{address} {name}" for name, addresses in host_names(plan, namespace).items() for address in addresses]
    return "\n".join(lines) + "\n"


def proxy_configuration(services: Sequence[PlannedService]) -> list[dict[str, Any]]:
    """The service proxy's configuration: one entry per port of every Service with an address of its own."""
    return [
        {"listen": [planned.address, port], "targets": [list(pair) for pair in pairs]}
        for planned in services
        if not planned.service.headless
        for port, pairs in planned.ports.items()
    ]


def _address(workload: Workload, name: str, block: AddressBlock) -> PodAddress:
    ports: dict[str, int] = {}
    for container in workload.containers:
        ports.update(container.ports)
    return PodAddress(
        namespace=workload.namespace,
        name=name,
        workload=workload.name,
        address=block.pod(),
        labels=workload.labels,
        ports=ports,
        container=workload.containers[0].name,
    )


def _plan_service(service: Service, pods: Sequence[PlannedPod], block: AddressBlock) -> PlannedService:
    behind = [pod.address for pod in pods if _selects(service, pod.address)]
    ports: dict[int, tuple[tuple[str, int], ...]] = {}
    for port in service.ports:
        targets = [
            (pod.address, port.target if isinstance(port.target, int) else pod.ports.get(port.target)) for pod in behind
        ]
        ports[port.port] = tuple((address, number) for address, number in targets if number is not None)
    return PlannedService(service, block.service(), ports)


def _selects(service: Service, pod: PodAddress) -> bool:
    return (
        bool(service.selector) and pod.namespace == service.namespace and service.selector.items() <= pod.labels.items()
    )


def _plan_volumes(pods: Sequence[PlannedPod]) -> tuple[tuple[TmpfsMount, ...], list[str]]:
    volumes: list[TmpfsMount] = []
    notes: list[str] = []
    for pod in pods:
        for volume in pod.workload.volumes:
            where = f"{pod.workload.kind}/{pod.workload.name}: volume {volume.name}"
            if is_tmpfs(volume):
                size_bytes = min(volume.size_bytes or MAX_VOLUME_BYTES, MAX_VOLUME_BYTES)
                volumes.append(TmpfsMount(volume_path(pod.address, volume.name), size_bytes))
                if volume.size_bytes and volume.size_bytes > MAX_VOLUME_BYTES:
                    mebibytes = MAX_VOLUME_BYTES // 2**20
                    notes.append(f"{where}: {mebibytes} MiB in memory instead of its declared size")
            elif why := why_partial(volume, pod.workload, pod.address):
                notes.append(f"{where}: {why}")
    return tuple(volumes), list(dict.fromkeys(notes))


def _unset(pods: Sequence[PlannedPod]) -> list[str]:
    found = [
        (pod.workload, container, name)
        for pod in pods
        for container in (*pod.workload.init_containers, *pod.workload.containers)
        for name in unset_variables(container, pod.workload, pod.address)
    ]
    notes = (
        f"{workload.kind}/{workload.name}: container {container.name}: variable {name} is not set: only a kubelet knows"
        " its value"
        for workload, container, name in found
    )
    return list(dict.fromkeys(notes))
