"""What the Prometheus operator would make of its objects, as plain StatefulSets; and the harness's own receiver."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.environments.kube.discovery import PORT as DISCOVERY_PORT
from harness.environments.kube.storage import Storage
from harness.stack import Container, EnvVar, HttpProbe, Rendered, Volume, Workload

_NOBODY = 65534
_CLAIM_BYTES = 2**30
_POD_IP = EnvVar("POD_IP", field_path="status.podIP")


def operated_objects(
    workload: Workload,
    rendered: Rendered | None,
    *,
    storage: Storage,
    wanted_class: str | None = None,
    discovery_image: str | None = None,
) -> list[dict[str, Any]]:
    """The ConfigMap with its rendered configuration and, last, the workload. Its pods run as nobody.

    ``wanted_class``: the storage class its object names. ``discovery_image``: of the container that discovers targets
    for it; None where it does so itself.
    """
    objects: list[dict[str, Any]] = []
    volumes: list[dict[str, Any]] = []
    claims: list[dict[str, Any]] = []
    for volume in workload.volumes:
        if volume.kind == "files":
            name = f"{workload.name}-config"
            files = dict(rendered.files) if rendered else {}
            objects.append(_config_map(workload.namespace, name, files))
            volumes.append({"name": volume.name, "configMap": {"name": name, "items": _items(files)}})
        elif volume.kind == "claim":
            claims.append(_claim(volume, storage.choose(wanted_class)))
        else:
            limit = {"sizeLimit": str(volume.size_bytes)} if volume.size_bytes else {}
            volumes.append({"name": volume.name, "emptyDir": limit})
    flags = rendered.flags if rendered else ()
    pod: dict[str, Any] = {
        "serviceAccountName": workload.service_account,
        "terminationGracePeriodSeconds": 5,
        "securityContext": {"runAsNonRoot": True, "runAsUser": _NOBODY, "runAsGroup": _NOBODY, "fsGroup": _NOBODY},
        "containers": [_container(each, flags) for each in workload.containers],
        "volumes": volumes,
    }
    if discovery_image is not None:
        pod["containers"].append(_discovery(discovery_image))
    if claims and storage.root_owned:
        pod["initContainers"] = [_opening(workload, [claim["metadata"]["name"] for claim in claims])]
    objects.append(_controller(workload, pod, claims))
    return objects


def _discovery(image: str) -> dict[str, Any]:
    """The container beside a Prometheus that cannot ask the Kubernetes API itself."""
    return {
        "name": "discovery",
        "image": image,
        "command": ["python", "-m", "harness.environments.kube.discovery", "--port", str(DISCOVERY_PORT)],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }


def _controller(workload: Workload, pod: dict[str, Any], claims: list[dict[str, Any]]) -> dict[str, Any]:
    stateful = workload.kind == "StatefulSet"
    spec: dict[str, Any] = {
        "replicas": workload.replicas,
        "selector": {"matchLabels": dict(workload.labels)},
        "template": {
            "metadata": {"labels": dict(workload.labels), "annotations": dict(workload.annotations)},
            "spec": pod,
        },
    }
    if stateful:
        program = workload.containers[0].name
        # Peers need each other's names before they are ready, and none waits for another to start.
        spec |= {"serviceName": f"{program}-operated", "podManagementPolicy": "Parallel"}
        spec |= {"volumeClaimTemplates": claims} if claims else {}
    return {
        "apiVersion": "apps/v1",
        "kind": workload.kind,
        "metadata": {"name": workload.name, "namespace": workload.namespace, "labels": dict(workload.labels)},
        "spec": spec,
    }


def _container(container: Container, flags: Sequence[str]) -> dict[str, Any]:
    written: dict[str, Any] = {
        "name": container.name,
        "image": container.image,
        "command": list(container.command),
        "args": [*container.args, *flags],
        "env": [_variable(each) for each in _with_address(container.env)],
        "ports": [{"name": name, "containerPort": port} for name, port in container.ports.items()],
        "volumeMounts": [
            {"name": mount.volume, "mountPath": mount.path, "readOnly": mount.read_only, "subPath": mount.sub_path}
            for mount in container.mounts
        ],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    if container.readiness is not None:
        written["readinessProbe"] = _probe(container.readiness)
    if container.liveness is not None:
        written["livenessProbe"] = _probe(container.liveness)
    return written


def _opening(workload: Workload, volumes: Sequence[str]) -> dict[str, Any]:
    """Lets nobody write to volumes that their provisioner gives to root; it alone of the pod runs as root."""
    return {
        "name": "open-volumes",
        "image": workload.containers[0].image,
        "command": ["chmod", "0777", *(f"/volumes/{name}" for name in volumes)],
        "volumeMounts": [{"name": name, "mountPath": f"/volumes/{name}"} for name in volumes],
        "securityContext": {"runAsUser": 0, "runAsNonRoot": False, "allowPrivilegeEscalation": False},
    }


def _with_address(variables: Sequence[EnvVar]) -> Sequence[EnvVar]:
    """With the pod's own address, which arguments may name and the local environment hands to every pod."""
    if any(each.name == _POD_IP.name for each in variables):
        return variables
    return (_POD_IP, *variables)


def _variable(variable: EnvVar) -> dict[str, Any]:
    if variable.field_path is not None:
        return {"name": variable.name, "valueFrom": {"fieldRef": {"fieldPath": variable.field_path}}}
    return {"name": variable.name, "value": variable.value or ""}


def _probe(probe: HttpProbe) -> dict[str, Any]:
    # Checked every second, whatever the operator asks: ready is known as soon as it is so.
    waits = {"periodSeconds": 1, "timeoutSeconds": max(1, round(probe.timeout_s))}
    failures = {"failureThreshold": max(probe.failure_threshold, round(probe.failure_threshold * probe.period_s))}
    if probe.path is None:
        return {"tcpSocket": {"port": probe.port}, **waits, **failures}
    return {"httpGet": {"path": probe.path, "port": probe.port}, **waits, **failures}


def _config_map(namespace: str, name: str, files: dict[str, str]) -> dict[str, Any]:
    content = {item["key"]: files[item["path"]] for item in _items(files)}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace},
        "data": content,
    }


def _items(files: dict[str, str]) -> list[dict[str, str]]:
    """A ConfigMap's keys know no directories: each file has a number, and its path beside it."""
    return [{"key": f"file-{number:03d}", "path": path} for number, path in enumerate(sorted(files), start=1)]


def _claim(volume: Volume, storage_class: str | None) -> dict[str, Any]:
    size_bytes = min(volume.size_bytes or _CLAIM_BYTES, _CLAIM_BYTES)
    return {
        "metadata": {"name": volume.name},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": str(size_bytes)}},
            **({"storageClassName": storage_class} if storage_class else {}),
        },
    }
