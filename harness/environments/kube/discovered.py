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
    """A target for each port of each container of each pod that has an address; one for a container without ports."""
    found: list[Target] = []
    for pod in pods:
        address = pod.get("status", {}).get("podIP")
        for container in pod["spec"]["containers"] if address else ():
            ports = container.get("ports") or [None]
            for port in ports:
                labels = {**_namespace(pod), **_pod_labels(pod), **_container_labels(container, port)}
                found.append(_target(f"{address}:{port['containerPort']}" if port else str(address), labels))
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
                    labels = {**_address_labels(address, port, ready), **_behind(pod, int(port["port"]))}
                    if pod is not None:
                        served.setdefault(_name(pod), set()).add(int(port["port"]))
                    yield _target(f"{address['ip']}:{port['port']}", {**shared, **labels})
    for name, numbers in served.items():
        pod = pods[name]
        for container in pod["spec"]["containers"]:
            for port in container.get("ports") or []:
                if port["containerPort"] not in numbers:
                    labels = {**shared, **_pod_labels(pod), **_container_labels(container, port)}
                    yield _target(f"{pod['status'].get('podIP')}:{port['containerPort']}", labels)


def _pod_behind(address: Object, pods: Mapping[tuple[str, str], Object]) -> Object | None:
    target = address.get("targetRef") or {}
    return pods.get((target.get("namespace", ""), target.get("name", ""))) if target.get("kind") == "Pod" else None


def _behind(pod: Object | None, number: int) -> dict[str, str]:
    """The labels of the pod an address belongs to, and of the container that declares the port."""
    if pod is None:
        return {}
    labels = _pod_labels(pod)
    for container in pod["spec"]["containers"]:
        for port in container.get("ports") or []:
            if port["containerPort"] == number:
                return {**labels, **_container_labels(container, port)}
    return labels


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
