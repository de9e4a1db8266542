"""Kubernetes objects → scrape targets with the labels Prometheus's own discovery gives them.

Source of labels, of their order of precedence and of which targets there are: prometheus, discovery/kubernetes, roles
``endpoints`` and ``pod``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Object = Mapping[str, Any]
Target = dict[str, Any]
_META = "__meta_kubernetes_"


def endpoint_targets(endpoints: Sequence[Object], services: Sequence[Object], pods: Sequence[Object]) -> list[Target]:
    """A target for each address and port of each Endpoints object, and for the other ports of the pods behind it."""
    by_name = {_name(each): each for each in services}
    pod_of = {_name(each): each for each in pods}
    return [target for each in endpoints for target in _of_endpoints(each, by_name.get(_name(each)), pod_of)]


def pod_targets(pods: Sequence[Object]) -> list[Target]:
    """A target for each port of each container of each pod that has an address; one for a container without ports.

    Init containers are among them.
    """
    found: list[Target] = []
    for pod in pods:
        address = pod.get("status", {}).get("podIP")
        for container, further in _containers_of(pod) if address else ():
            shared = {**_namespace(pod), **_pod_labels(pod), **further}
            for port in container.get("ports") or [None]:
                where = _address(address, port["containerPort"]) if port else str(address)
                found.append(_target(where, {**shared, **_container_labels(container, port)}))
    return found


def _of_endpoints(
    endpoints: Object, service: Object | None, pods: Mapping[tuple[str, str], Object]
) -> Iterator[Target]:
    shared = {
        **_namespace(endpoints),
        f"{_META}endpoints_name": endpoints["metadata"]["name"],
        **_carried("endpoints", endpoints["metadata"]),
        **(_service_labels(service) if service else {}),
    }
    served: dict[tuple[str, str], set[int]] = {}
    for subset in endpoints.get("subsets") or []:
        for key, ready in (("addresses", "true"), ("notReadyAddresses", "false")):
            for address in subset.get(key) or []:
                pod = _pod_behind(address, pods)
                for port in subset.get("ports") or []:
                    labels = {**_address_labels(address, port, ready), **_behind(pod, port)}
                    if pod is not None:
                        served.setdefault(_name(pod), set()).add(int(port["port"]))
                    yield _target(_address(address["ip"], port["port"]), {**shared, **labels})
    for name, numbers in served.items():
        pod = pods[name]
        own = pod.get("status", {}).get("podIP")  # gone from a pod that was evicted
        for container in pod["spec"]["containers"] if own else ():
            for port in container.get("ports") or []:
                if port["containerPort"] not in numbers:
                    labels = {**shared, **_pod_labels(pod), **_container_labels(container, port)}
                    yield _target(_address(own, port["containerPort"]), labels)


def _pod_behind(address: Object, pods: Mapping[tuple[str, str], Object]) -> Object | None:
    target = address.get("targetRef") or {}
    return pods.get((target.get("namespace", ""), target.get("name", ""))) if target.get("kind") == "Pod" else None


def _behind(pod: Object | None, served: Object) -> dict[str, str]:
    """The labels of the pod an address belongs to, and of the last container that declares the port."""
    if pod is None:
        return {}
    labels = _pod_labels(pod)
    for container in pod["spec"]["containers"]:
        number = served["port"]
        port = next((each for each in container.get("ports") or [] if each["containerPort"] == number), None)
        if port is not None:
            # The protocol is the Endpoints object's, whichever port of that number the container declares first.
            labels |= _container_labels(container, {**port, "protocol": served.get("protocol", "TCP")})
    return labels


def _containers_of(pod: Object) -> Iterator[tuple[Object, dict[str, str]]]:
    """Every container, and what is said of each when pods are what is looked for."""
    status = pod.get("status", {})
    for key, statuses, init in (
        ("containers", "containerStatuses", "false"),
        ("initContainers", "initContainerStatuses", "true"),
    ):
        ids = {each["name"]: each.get("containerID", "") for each in status.get(statuses) or []}
        for container in pod["spec"].get(key) or []:
            name = container["name"]
            yield container, {f"{_META}pod_container_id": ids.get(name, ""), f"{_META}pod_container_init": init}


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _address_labels(address: Object, port: Object, ready: str) -> dict[str, str]:
    labels = {
        f"{_META}endpoint_port_name": port.get("name", ""),
        f"{_META}endpoint_port_protocol": port.get("protocol", "TCP"),
        f"{_META}endpoint_ready": ready,
    }
    if address.get("targetRef"):
        labels[f"{_META}endpoint_address_target_kind"] = address["targetRef"].get("kind", "")
        labels[f"{_META}endpoint_address_target_name"] = address["targetRef"].get("name", "")
    for key, name in (("nodeName", "endpoint_node_name"), ("hostname", "endpoint_hostname")):
        if address.get(key):
            labels[_META + name] = address[key]
    return labels


def _service_labels(service: Object) -> dict[str, str]:
    return {f"{_META}service_name": service["metadata"]["name"], **_carried("service", service["metadata"])}


def _pod_labels(pod: Object) -> dict[str, str]:
    metadata, status = pod["metadata"], pod.get("status", {})
    ready = next((each["status"] for each in status.get("conditions", []) if each["type"] == "Ready"), "unknown")
    labels = {
        f"{_META}pod_name": metadata["name"],
        f"{_META}pod_ip": status.get("podIP", ""),
        f"{_META}pod_ready": str(ready).lower(),
        f"{_META}pod_phase": status.get("phase", ""),
        f"{_META}pod_node_name": pod["spec"].get("nodeName", ""),
        f"{_META}pod_host_ip": status.get("hostIP", ""),
        f"{_META}pod_uid": metadata.get("uid", ""),
        **_carried("pod", metadata),
    }
    for owner in metadata.get("ownerReferences") or []:
        if owner.get("controller"):
            labels[f"{_META}pod_controller_kind"] = owner["kind"]
            labels[f"{_META}pod_controller_name"] = owner["name"]
    return labels


def _container_labels(container: Object, port: Object | None) -> dict[str, str]:
    labels = {
        f"{_META}pod_container_name": container["name"],
        f"{_META}pod_container_image": container.get("image", ""),
    }
    if port is not None:
        labels |= {
            f"{_META}pod_container_port_name": port.get("name", ""),
            f"{_META}pod_container_port_number": str(port["containerPort"]),
            f"{_META}pod_container_port_protocol": port.get("protocol", "TCP"),
        }
    return labels


def _carried(kind: str, metadata: Object) -> dict[str, str]:
    """An object's labels and annotations."""
    found: dict[str, str] = {}
    for what, values in (("label", metadata.get("labels")), ("annotation", metadata.get("annotations"))):
        for key, value in (values or {}).items():
            name = re.sub(r"[^a-zA-Z0-9_]", "_", key)
            found[f"{_META}{kind}_{what}_{name}"] = value
            found[f"{_META}{kind}_{what}present_{name}"] = "true"
    return found


def _namespace(each: Object) -> dict[str, str]:
    return {f"{_META}namespace": each["metadata"]["namespace"]}


def _name(each: Object) -> tuple[str, str]:
    return each["metadata"]["namespace"], each["metadata"]["name"]


def _target(address: str, labels: Mapping[str, str]) -> Target:
    return {"targets": [address], "labels": dict(labels)}
