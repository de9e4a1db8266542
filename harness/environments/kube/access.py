"""The account the harness acts with once the stack stands: no more than watching and the faults need."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from harness.clock import wait_until
from harness.environments.kube.kubectl import Kubectl
from harness.environments.kube.vocabulary import ACCOUNT

_TOKEN = f"{ACCOUNT}-token"
_TOKEN_S = 30.0
# In each namespace of the stack: what runs there, read; a pod made to look at its ConfigMaps, or the first to go
# when its workload is scaled; a ConfigMap changed; a workload scaled; a pod evicted, as from a node that is drained.
# Reading a Secret, making objects, deleting others than pods and opening a shell are not among it.
_RULES: tuple[dict[str, Any], ...] = (
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "patch", "delete"]},
    {"apiGroups": [""], "resources": ["pods/eviction"], "verbs": ["create"]},
    {"apiGroups": [""], "resources": ["pods/log", "pods/proxy", "services/proxy"], "verbs": ["get"]},
    {"apiGroups": [""], "resources": ["events", "services"], "verbs": ["get", "list"]},
    {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "patch"]},
    {"apiGroups": ["apps"], "resources": ["deployments", "statefulsets"], "verbs": ["get", "patch"]},
)
# In the harness's own namespace also the load's pods.
_OWN_RULES: tuple[dict[str, Any], ...] = (
    *_RULES,
    {"apiGroups": [""], "resources": ["pods", "services"], "verbs": ["create", "get", "delete", "patch", "list"]},
)
# Nodes are nobody's namespace. They are read, and cordoned and uncordoned, which is a patch.
_NODE_RULES: tuple[dict[str, Any], ...] = (
    {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list", "patch"]},
)


def account_objects(namespaces: Sequence[str], own: str, *, lent: bool) -> list[dict[str, Any]]:
    """The account in its ``own`` namespace, its token, and a Role and RoleBinding in each namespace.

    In a cluster that is the harness's, not ``lent`` to it, the namespace is made too, and nodes may be read and
    cordoned.
    """
    objects: list[dict[str, Any]] = [
        *([] if lent else [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": own}}]),
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": ACCOUNT, "namespace": own}},
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "kubernetes.io/service-account-token",
            "metadata": {
                "name": _TOKEN,
                "namespace": own,
                "annotations": {"kubernetes.io/service-account.name": ACCOUNT},
            },
        },
    ]
    for namespace in sorted({*namespaces, own}):
        rules = _OWN_RULES if namespace == own else _RULES
        objects += [
            _role("Role", {"name": ACCOUNT, "namespace": namespace}, rules),
            _binding("Role", {"name": ACCOUNT, "namespace": namespace}, own),
        ]
    if not lent:
        objects += [
            _role("ClusterRole", {"name": f"{ACCOUNT}-nodes"}, _NODE_RULES),
            _binding("ClusterRole", {"name": f"{ACCOUNT}-nodes"}, own),
        ]
    return objects


def account_kubectl(admin: Kubectl, path: Path, own: str) -> Kubectl:
    """The cluster as the harness's account, by a kubeconfig written to ``path``. Raises HarnessError."""
    token = ""

    def has_token() -> bool:
        nonlocal token
        secret = admin.get("-n", own, "secret", _TOKEN)
        token = base64.b64decode((secret.get("data") or {}).get("token", "")).decode()
        return bool(token)

    wait_until(has_token, what="the cluster gives the harness's account a token", timeout_s=_TOKEN_S, poll_s=0.2)
    view = json.loads(admin.run("config", "view", "--minify", "--raw", "-o", "json"))
    written = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "cluster", "cluster": view["clusters"][0]["cluster"]}],
        "users": [{"name": ACCOUNT, "user": {"token": token}}],
        "contexts": [{"name": ACCOUNT, "context": {"cluster": "cluster", "user": ACCOUNT, "namespace": own}}],
        "current-context": ACCOUNT,
    }
    path.unlink(missing_ok=True)  # an earlier one would keep its mode
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(written), encoding="utf-8")
    return Kubectl(path, ACCOUNT)


def _role(kind: str, metadata: dict[str, Any], rules: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": metadata, "rules": list(rules)}


def _binding(kind: str, metadata: dict[str, Any], own: str) -> dict[str, Any]:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": f"{kind}Binding",
        "metadata": metadata,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": metadata["name"]},
        "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": own}],
    }
