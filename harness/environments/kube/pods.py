"""Pods as the Kubernetes API tells of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import requests

from harness.environments.kube.api_proxy import ask
from harness.errors import HarnessError

_TIMEOUT_S = 3.0


@dataclass(frozen=True, slots=True)
class ContainerStatus:
    """``id``: the runtime's, a new one at each start; empty before the first. ``waiting``: why it does not run."""

    name: str
    id: str
    running: bool
    exit_code: int | None
    waiting: str
    restarts: int


@dataclass(frozen=True, slots=True)
class ClusterPod:
    """One pod. ``workload``: what its owners are called in the stack. ``spec``: as the API server has it.

    ``containers`` are in the order of the spec; ``init_containers`` come before them.
    """

    namespace: str
    name: str
    workload: str
    owner_kind: str
    uid: str
    node: str
    phase: str
    ready: bool
    ending: bool
    created: str
    containers: tuple[ContainerStatus, ...]
    conditions: Mapping[str, str]
    spec: Mapping[str, Any]
    labels: Mapping[str, str]
    init_containers: tuple[ContainerStatus, ...] = ()

    @property
    def has_ended(self) -> bool:
        """Whether its kubelet says of each container that it ran and does no more."""
        return bool(self.containers) and all(
            not container.running and container.exit_code is not None for container in self.containers
        )


def list_pods(proxy: str, namespaces: Iterable[str]) -> tuple[ClusterPod, ...]:
    """All pods of these namespaces, oldest first. Raises HarnessError when the cluster cannot be asked."""
    found: list[ClusterPod] = []
    for namespace in namespaces:
        try:
            answer = ask(f"{proxy}/api/v1/namespaces/{namespace}/pods", timeout_s=_TIMEOUT_S)
            answer.raise_for_status()
            found += [read_pod(raw) for raw in answer.json()["items"]]
        except (requests.RequestException, ValueError, KeyError, TypeError) as error:
            raise HarnessError(f"pods of namespace {namespace} cannot be listed: {error}") from error
    return tuple(sorted(found, key=lambda pod: (pod.created, pod.namespace, pod.name)))


def read_pod(raw: Mapping[str, Any]) -> ClusterPod:
    """A pod from the API's JSON. Raises KeyError or TypeError where that is no pod."""
    metadata, status = raw["metadata"], raw.get("status", {})
    owner_kind, workload = _owner(metadata)
    conditions = {each["type"]: each for each in status.get("conditions", [])}
    return ClusterPod(
        namespace=metadata["namespace"],
        name=metadata["name"],
        workload=workload,
        owner_kind=owner_kind,
        uid=metadata["uid"],
        node=raw["spec"].get("nodeName", ""),
        phase=status.get("phase", "Unknown"),
        ready=conditions.get("Ready", {}).get("status") == "True",
        ending="deletionTimestamp" in metadata,
        created=metadata.get("creationTimestamp", ""),
        containers=_in_order(status.get("containerStatuses", []), raw["spec"]["containers"]),
        conditions={
            name: f"{each.get('reason', '')}: {each.get('message', '')}".strip(": ")
            for name, each in conditions.items()
            if each.get("status") != "True"
        },
        spec=raw["spec"],
        labels=metadata.get("labels", {}),
        init_containers=tuple(_container(each) for each in status.get("initContainerStatuses", [])),
    )


def _owner(metadata: Mapping[str, Any]) -> tuple[str, str]:
    owner = next(iter(metadata.get("ownerReferences", [])), None)
    if owner is None:
        return "Pod", str(metadata["name"])
    if owner["kind"] == "ReplicaSet":  # named after its Deployment and a hash
        return "Deployment", str(owner["name"]).rsplit("-", 1)[0]
    return str(owner["kind"]), str(owner["name"])


def _in_order(statuses: Sequence[Mapping[str, Any]], spec: Sequence[Mapping[str, Any]]) -> tuple[ContainerStatus, ...]:
    """As the spec has them: a kubelet sorts its statuses by name."""
    order = {container["name"]: place for place, container in enumerate(spec)}
    found = map(_container, statuses)
    return tuple(sorted(found, key=lambda each: order.get(each.name, len(order))))


def _container(raw: Mapping[str, Any]) -> ContainerStatus:
    state, last = raw.get("state", {}), raw.get("lastState", {})
    ended = state.get("terminated") or last.get("terminated") or {}
    waiting = state.get("waiting") or {}
    return ContainerStatus(
        name=raw["name"],
        id=str(raw.get("containerID", "")).rpartition("//")[2],
        running="running" in state,
        exit_code=ended.get("exitCode"),
        restarts=int(raw.get("restartCount", 0)),
        waiting=f"{waiting.get('reason', '')}: {waiting.get('message', '')}".strip(": "),
    )
