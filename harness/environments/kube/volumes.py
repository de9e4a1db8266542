"""Files in the volumes of a cluster's pods, reached in the node they are on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.environments.kube.kind_node import KindNode
from harness.environments.kube.pods import ClusterPod
from harness.errors import HarnessError

_PODS = "/var/lib/kubelet/pods"
# Kinds that a kubelet keeps below the pod's own directory, and what it calls them there.
_KUBELET_NAMES = {
    "emptyDir": "kubernetes.io~empty-dir",
    "configMap": "kubernetes.io~configmap",
    "secret": "kubernetes.io~secret",
    "projected": "kubernetes.io~projected",
}


def volume_of(pod: ClusterPod, name: str) -> Mapping[str, Any]:
    """A pod's volume as its spec has it. Raises HarnessError naming those it has."""
    volumes: list[Mapping[str, Any]] = list(pod.spec.get("volumes", []))
    found = next((each for each in volumes if each["name"] == name), None)
    if found is None:
        known = ", ".join(str(each["name"]) for each in volumes) or "none"
        raise HarnessError(f"pod {pod.name} has no volume {name!r}; it has: {known}")
    return found


def volume_path(pod: ClusterPod, name: str, node: KindNode) -> str:
    """Where the pod's node has a volume. Raises HarnessError for one that only its running container shows."""
    volume = volume_of(pod, name)
    for kind, called in _KUBELET_NAMES.items():
        if kind in volume:
            return f"{_PODS}/{pod.uid}/volumes/{called}/{name}"
    if "hostPath" in volume:
        return str(volume["hostPath"]["path"])
    return _shown_path(pod, name, node)


def config_file(volume: Mapping[str, Any], path: str) -> tuple[str, str]:
    """The ConfigMap and its key behind a file of a volume. Raises HarnessError when it comes from no ConfigMap."""
    source = volume.get("configMap")
    if source is None:
        raise HarnessError(f"volume {volume['name']} is no ConfigMap's: its files cannot be changed")
    items: list[Mapping[str, str]] = source.get("items") or []
    key = next((item["key"] for item in items if item["path"] == path), path)
    return str(source["name"]), key


def _shown_path(pod: ClusterPod, name: str, node: KindNode) -> str:
    """A volume through the mounts of a container's first process."""
    ids = {status.name: status.id for status in pod.containers}
    for container in pod.spec["containers"]:
        mount = next((each for each in container.get("volumeMounts", []) if each["name"] == name), None)
        processes = node.processes([ids.get(container["name"], "")]) if mount else []
        if mount and processes:
            return f"/proc/{processes[0].pid}/root{mount['mountPath']}"
    raise HarnessError(f"volume {name} of pod {pod.name} can be reached only while a container shows it, and none does")
