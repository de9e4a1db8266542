"""In a cluster that is somebody else's nothing lies outside of what was lent."""

from __future__ import annotations

from typing import Any

import pytest

from harness.environments.kube.confinement import confine

RULES = [
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
    {"nonResourceURLs": ["/metrics"], "verbs": ["get"]},
]
RBAC = "rbac.authorization.k8s.io/v1"
SUBJECTS = [{"kind": "ServiceAccount", "name": "prometheus", "namespace": "a"}]


def thing(kind: str, name: str, namespace: str | None = None, **further: Any) -> dict[str, Any]:
    where = {"namespace": namespace} if namespace else {}
    return {"apiVersion": RBAC, "kind": kind, "metadata": {"name": name, **where}, **further}


def binding(kind: str, *, role: str = "reader", namespace: str | None = None) -> dict[str, Any]:
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
    return thing(kind, "binds", namespace, roleRef=reference, subjects=SUBJECTS)


def confined(*objects: dict[str, Any]) -> tuple[list[dict[str, Any]], list[str]]:
    notes: list[str] = []
    return list(confine(objects, ("a", "b"), notes)), notes


def test_what_lies_inside_stays_as_it_is() -> None:
    deployment = thing("Deployment", "app", "a")
    assert confined(deployment) == ([deployment], [])


@pytest.mark.parametrize("namespace", ["c", None])
def test_what_lies_elsewhere_is_left_out_and_named(namespace: str | None) -> None:
    kept, notes = confined(thing("Deployment", "app", namespace))
    assert kept == []
    assert notes == [f"Deployment/app: left out, it lies in {namespace or 'default'}, which the harness was not lent"]


def test_a_role_of_the_cluster_becomes_one_of_each_namespace() -> None:
    kept, notes = confined(thing("ClusterRole", "reader", rules=RULES), binding("ClusterRoleBinding"))
    assert [(each["kind"], each["metadata"]["namespace"]) for each in kept] == [
        ("Role", "a"),
        ("RoleBinding", "a"),
        ("Role", "b"),
        ("RoleBinding", "b"),
    ]
    assert all(each["rules"] == RULES[:1] for each in kept if each["kind"] == "Role")
    assert all(each["roleRef"]["kind"] == "Role" for each in kept if each["kind"] == "RoleBinding")
    assert all(each["subjects"] == SUBJECTS for each in kept if each["kind"] == "RoleBinding")
    assert len(notes) == 1


def test_one_that_a_namespace_binds_is_there_in_that_namespace_alone() -> None:
    kept, _ = confined(thing("ClusterRole", "reader", rules=RULES), binding("RoleBinding", namespace="b"))
    assert {(each["kind"], each["metadata"]["namespace"]) for each in kept} == {("Role", "b"), ("RoleBinding", "b")}


def test_one_that_is_bound_elsewhere_is_made_nowhere_and_named() -> None:
    kept, notes = confined(thing("ClusterRole", "reader", rules=RULES), binding("RoleBinding", namespace="kube-system"))
    assert kept == []
    assert notes == ["RoleBinding/binds: left out, it lies in kube-system, which the harness was not lent"]


def test_a_role_that_is_not_the_stacks_own_is_left_to_its_owner() -> None:
    kept, notes = confined(binding("ClusterRoleBinding", role="cluster-admin"))
    assert kept == []
    assert notes == ["ClusterRoleBinding/binds: left out, it belongs to the cluster as a whole"]


@pytest.mark.parametrize(
    "kind",
    [
        *("StorageClass", "CustomResourceDefinition", "PriorityClass", "PersistentVolume", "RuntimeClass"),
        *("CSIDriver", "IngressClass", "PodSecurityPolicy", "ValidatingAdmissionPolicyBinding"),
    ],
)
def test_what_is_the_clusters_is_left_out_and_named(kind: str) -> None:
    assert confined(thing(kind, "x")) == ([], [f"{kind}/x: left out, it belongs to the cluster as a whole"])


def test_namespaces_are_not_made() -> None:
    assert confined(thing("Namespace", "a")) == ([], [])
