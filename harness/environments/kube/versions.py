"""What runs in the cluster, by what each program says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import requests

from harness.environments.kube.api_proxy import ask
from harness.environments.kube.state import ClusterState

_TIMEOUT_S = 5.0


def read_versions(state: ClusterState) -> Mapping[str, str]:
    """Versions of Kubernetes (the kubelets'), Prometheus and Alertmanager; ``unknown`` where one does not say."""
    nodes = _ask(f"{state.proxy}/api/v1/nodes").get("items", [])
    kubelets = sorted({str(node["status"]["nodeInfo"]["kubeletVersion"]) for node in nodes})
    prometheus = _ask(f"{state.prometheus}/api/v1/status/buildinfo").get("data", {}).get("version")
    versions = {"kubernetes": ", ".join(kubelets) or "unknown", "prometheus": str(prometheus or "unknown")}
    if state.alertmanagers:
        told = _ask(f"{state.alertmanagers[0]}/api/v2/status").get("versionInfo", {}).get("version")
        versions["alertmanager"] = str(told or "unknown")
    return versions


def _ask(url: str) -> dict[str, Any]:
    with suppress(requests.RequestException, ValueError):
        answer = ask(url, timeout_s=_TIMEOUT_S)
        found = answer.json() if answer.ok else {}
        return found if isinstance(found, dict) else {}
    return {}
