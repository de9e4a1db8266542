"""The addresses of kubelets, as the Prometheus operator keeps them behind a Service without a selector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.environments.kube.vocabulary import Manifest
from harness.stack import Stack

# Source of names: prometheus-operator, --kubelet-service, and its endpoints of nodes.
_NAMESPACE, _NAME = "kube-system", "kubelet"
_PORT = {"name": "https-metrics", "port": 10250, "protocol": "TCP"}


def kubelet_endpoints(stack: Stack, nodes: Sequence[Mapping[str, Any]]) -> list[Manifest]:
    """The Endpoints of the stack's Service for kubelets, from nodes as the API lists them; none without that Service.

    They carry the Service's labels, as those have that a controller makes.
    """
    service = next((each for each in stack.services if (each.namespace, each.name) == (_NAMESPACE, _NAME)), None)
    if service is None or service.selector:
        return []
    addresses = [
        {"ip": address["address"], "targetRef": {"kind": "Node", "name": node["metadata"]["name"]}}
        for node in nodes
        for address in node.get("status", {}).get("addresses", [])
        if address["type"] == "InternalIP"
    ]
    return [
        {
            "apiVersion": "v1",
            "kind": "Endpoints",
            "metadata": {"name": _NAME, "namespace": _NAMESPACE, "labels": dict(service.labels)},
            "subsets": [{"addresses": addresses, "ports": [dict(_PORT)]}] if addresses else [],
        }
    ]
