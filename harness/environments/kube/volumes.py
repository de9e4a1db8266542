"""Files in the volumes of a cluster's pods, reached in the node they are on, and what becomes of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
# What ends with its pod, wherever it is.
_OF_ITS_POD = (*_KUBELET_NAMES, "downwardAPI", "ephemeral")


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


def kept_volume(pod: ClusterPod, name: str) -> Mapping[str, Any] | None:
    """What tells a pod's volume from all others once the pod is gone; None for one that ends with it."""
    return _kept(pod, volume_of(pod, name))


def pods_with(pods: Iterable[ClusterPod], kept: Mapping[str, Any]) -> Sequence[tuple[ClusterPod, str]]:
    """Those of the pods that have a kept volume, and what each calls it; those that run, if any."""
    found = [
        (pod, str(each["name"])) for pod in pods for each in pod.spec.get("volumes", []) if _kept(pod, each) == kept
    ]
    # Of some kinds only a running container shows where they are.
    return [(pod, name) for pod, name in found if any(each.running for each in pod.containers)] or found


def config_file(pod: ClusterPod, name: str, path: str) -> tuple[str, str]:
    """The ConfigMap and its key behind a file of a pod's volume.

    Raises HarnessError when it comes from no ConfigMap, or a container has it in a way that keeps it as it is.
    """
    volume = volume_of(pod, name)
    source = volume.get("configMap")
    if source is None:
        raise HarnessError(f"volume {name} is no ConfigMap's: its files cannot be changed")
    for container in pod.spec["containers"]:
        for mount in container.get("volumeMounts", []):
            if mount["name"] == name and (mount.get("subPath") or mount.get("subPathExpr")):
                raise HarnessError(
                    f"container {container['name']} of pod {pod.name} mounts volume {name} by subPath: a kubelet never "
                    "brings such a mount up to date, so that the container would keep the old file; mount the whole "
                    "volume at a directory of its own"
                )
    items: list[Mapping[str, str]] = source.get("items") or []
    key = next((item["key"] for item in items if item["path"] == path), path)
    return str(source["name"]), key


def config_maps_of(pod: ClusterPod) -> set[str]:
    """The ConfigMaps that a pod has as volumes."""
    return {str(each["configMap"]["name"]) for each in pod.spec.get("volumes", []) if "configMap" in each}


def _kept(pod: ClusterPod, volume: Mapping[str, Any]) -> Mapping[str, Any] | None:
    source = {kind: value for kind, value in volume.items() if kind != "name"}
    if not source or any(kind in source for kind in _OF_ITS_POD):
        return None
    if "persistentVolumeClaim" in source:
        return {"namespace": pod.namespace, "claim": source["persistentVolumeClaim"]["claimName"]}
    if "hostPath" in source:
        return {"node": pod.node, "path": source["hostPath"]["path"]}
    return source


def _shown_path(pod: ClusterPod, name: str, node: KindNode) -> str:
    """A volume through the mounts of a container's first process."""
    ids = {status.name: status.id for status in pod.containers}
    for container in pod.spec["containers"]:
        mount = next((each for each in container.get("volumeMounts", []) if each["name"] == name), None)
        processes = node.processes([ids.get(container["name"], "")]) if mount else []
        if mount and processes:
            return f"/proc/{processes[0].pid}/root{mount['mountPath']}"
    raise HarnessError(f"volume {name} of pod {pod.name} can be reached only while a container shows it, and none does")
