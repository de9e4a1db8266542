"""Objects of a whole cluster → what does their work inside the namespaces the harness was lent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.environments.kube.kinds import lies_in_namespace


def confine(objects: Sequence[dict[str, Any]], namespaces: Sequence[str], notes: list[str]) -> Iterator[dict[str, Any]]:
    """The objects that lie in these namespaces. A ClusterRole that is bound becomes a Role with its binding in each of
    them; what else belongs to the cluster as a whole is left out, and named in ``notes``.
    """
    roles = {each["metadata"]["name"]: each for each in objects if each["kind"] == "ClusterRole"}
    for each in objects:
        kind, name = each["kind"], each["metadata"]["name"]
        if kind == "ClusterRoleBinding" and each["roleRef"]["name"] in roles:
            for namespace in namespaces:
                yield from _inside(each, roles[each["roleRef"]["name"]], namespace)
            notes.append(f"ClusterRoleBinding/{name}: a RoleBinding in each namespace instead")
        elif kind in ("ClusterRole", "Namespace"):
            continue
        elif not lies_in_namespace(kind):
            notes.append(f"{kind}/{name}: left out, it belongs to the cluster as a whole")
        elif (where := each["metadata"].get("namespace", "default")) not in namespaces:
            notes.append(f"{kind}/{name}: left out, it lies in {where}, which the harness was not lent")
        elif kind == "RoleBinding" and each["roleRef"]["kind"] == "ClusterRole" and each["roleRef"]["name"] in roles:
            yield from _inside(each, roles[each["roleRef"]["name"]], where)
        else:
            yield each


def _inside(binding: Mapping[str, Any], role: Mapping[str, Any], namespace: str) -> Iterator[dict[str, Any]]:
    rules = [rule for rule in role.get("rules", []) if "nonResourceURLs" not in rule]
    yield {
        "apiVersion": role["apiVersion"],
        "kind": "Role",
        "metadata": {"name": role["metadata"]["name"], "namespace": namespace},
        "rules": rules,
    }
    yield {
        "apiVersion": binding["apiVersion"],
        "kind": "RoleBinding",
        "metadata": {"name": binding["metadata"]["name"], "namespace": namespace},
        "roleRef": {**binding["roleRef"], "kind": "Role"},
        "subjects": binding.get("subjects", []),
    }
