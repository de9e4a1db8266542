"""What the harness's account may do in a cluster, and how it gets at it."""

from __future__ import annotations

import base64
import json
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.environments.kube.access import account_kubectl, account_objects
from harness.environments.kube.kubectl import Kubectl
from harness.errors import HarnessError
from tests.environments.fake_programs import FakeKubectl

SPACES = ("a", "b")
# What the code asks of the cluster with this account in any namespace of the stack: kubectl's get, patch and logs
# (cluster.py, scaling.py) read an object before they change it or read its output, all else is read through the proxy.
USED = [
    ("", "pods", "list"),  # pods.py
    ("", "pods", "get"),
    ("", "pods", "patch"),
    ("", "events", "list"),  # readiness.py
    ("", "pods/log", "get"),
    ("", "pods/proxy", "get"),  # installation.py: Prometheus, Alertmanager
    ("", "pods/eviction", "create"),  # breakage.py: a node that is drained
    ("", "services/proxy", "get"),  # installation.py: the receiver, the load's target
    ("", "services", "get"),
    ("", "pods", "delete"),
    ("", "configmaps", "get"),
    ("", "configmaps", "patch"),
    ("apps", "deployments", "get"),
    ("apps", "deployments", "patch"),
    ("apps", "statefulsets", "get"),
    ("apps", "statefulsets", "patch"),
]
# The load's pods and Service in the harness's own: kubectl apply and delete, which is not asked to wait.
USED_IN_OWN = [
    ("", kind, verb) for kind in ("pods", "services") for verb in ("get", "create", "patch", "delete", "list")
]
NEVER = [
    ("", "pods", "watch"),
    ("", "secrets", "get"),
    ("", "secrets", "list"),
    ("", "pods/exec", "create"),
    ("", "pods/exec", "get"),
    ("", "pods/attach", "create"),
    ("", "pods/portforward", "create"),
    ("", "serviceaccounts/token", "create"),
    ("", "services/proxy", "create"),
    ("", "pods/proxy", "create"),
    ("", "configmaps", "create"),
    ("", "configmaps", "delete"),
    ("", "namespaces", "delete"),
    ("apps", "deployments", "delete"),
    ("apps", "deployments", "create"),
    ("rbac.authorization.k8s.io", "roles", "create"),
    ("rbac.authorization.k8s.io", "rolebindings", "create"),
]


def of(kind: str, objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [each for each in objects if each["kind"] == kind]


def allows(rules: list[dict[str, Any]], group: str, resource: str, verb: str) -> bool:
    return any(group in rule["apiGroups"] and resource in rule["resources"] and verb in rule["verbs"] for rule in rules)


def roles(*, lent: bool = False) -> dict[str, list[dict[str, Any]]]:
    made = of("Role", account_objects(SPACES, "own", lent=lent))
    return {role["metadata"]["namespace"]: role["rules"] for role in made}


@pytest.mark.parametrize("space", ["a", "b", "own"])
@pytest.mark.parametrize(("group", "resource", "verb"), USED)
def test_the_account_may_do_what_is_done_with_it(space: str, group: str, resource: str, verb: str) -> None:
    assert allows(roles()[space], group, resource, verb)


@pytest.mark.parametrize(("group", "resource", "verb"), USED_IN_OWN)
def test_only_in_its_own_namespace_it_may_make_and_remove_what_is_its_own(group: str, resource: str, verb: str) -> None:
    assert allows(roles()["own"], group, resource, verb)
    if (group, resource, verb) not in [*USED, ("", "services", "list")]:
        assert not allows(roles()["a"], group, resource, verb)


@pytest.mark.parametrize("space", ["a", "own"])
@pytest.mark.parametrize(("group", "resource", "verb"), NEVER)
def test_the_account_may_not_read_secrets_open_shells_or_give_itself_more(
    space: str, group: str, resource: str, verb: str
) -> None:
    assert not allows(roles()[space], group, resource, verb)


@pytest.mark.parametrize("lent", [True, False])
def test_nothing_is_allowed_by_a_wildcard_or_by_address(lent: bool) -> None:
    for each in account_objects(SPACES, "own", lent=lent):
        for rule in each.get("rules", []):
            assert set(rule) == {"apiGroups", "resources", "verbs"}
            assert not [word for words in rule.values() for word in words if "*" in word]


@pytest.mark.parametrize("lent", [True, False])
def test_rights_are_bound_to_the_one_account_in_each_namespace(lent: bool) -> None:
    made = account_objects(SPACES, "own", lent=lent)
    (account,) = of("ServiceAccount", made)
    bindings = of("RoleBinding", made)
    assert [each["metadata"]["namespace"] for each in bindings] == ["a", "b", "own"]
    subject = {"kind": "ServiceAccount", "name": account["metadata"]["name"], "namespace": "own"}
    for each in (*bindings, *of("ClusterRoleBinding", made)):
        assert each["subjects"] == [subject]
        kind = each["kind"].removesuffix("Binding")
        assert each["roleRef"] == {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": kind,
            "name": each["metadata"]["name"],
        }
        named = [role["metadata"] for role in of(kind, made)]
        assert each["metadata"] in named
    (token,) = of("Secret", made)
    assert token["type"] == "kubernetes.io/service-account-token"
    assert token["metadata"]["annotations"] == {"kubernetes.io/service-account.name": subject["name"]}
    assert token["metadata"]["namespace"] == account["metadata"]["namespace"] == "own"


def test_a_namespace_that_is_named_twice_is_one() -> None:
    made = account_objects(["own", "a", "a"], "own", lent=False)
    assert [each["metadata"]["namespace"] for each in of("Role", made)] == ["a", "own"]


def test_nodes_are_read_and_cordoned_only_in_a_cluster_of_the_harness_own() -> None:
    own, lent = (account_objects(SPACES, "own", lent=lent) for lent in (False, True))
    (nodes,) = of("ClusterRole", own)
    assert nodes["rules"] == [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list", "patch"]}]
    assert [each["metadata"]["name"] for each in of("Namespace", own)] == ["own"]
    for kind in ("ClusterRole", "ClusterRoleBinding", "Namespace"):
        assert of(kind, lent) == [], "nothing outside the lent namespaces may be touched"


def test_objects_stand_in_the_order_in_which_they_can_be_made() -> None:
    kinds = [each["kind"] for each in account_objects(SPACES, "own", lent=False)]
    assert kinds[:3] == ["Namespace", "ServiceAccount", "Secret"]
    assert kinds.index("Role") < kinds.index("RoleBinding")


@pytest.fixture
def kubectl(programs: Path, tmp_path: Path) -> FakeKubectl:
    return FakeKubectl(programs, tmp_path / "admin", "ctx")


SECRET = ("get", "-n", "own", "secret", "harness-token", "-o", "json")
VIEW = ("config", "view", "--minify", "--raw", "-o", "json")
CLUSTER = {"server": "https://127.0.0.1:6443", "certificate-authority-data": "Q0E="}


def token(text: str) -> str:
    return json.dumps({"data": {"token": base64.b64encode(text.encode()).decode()}})


def test_the_accounts_kubeconfig_holds_its_token_and_nothing_of_the_administrators(
    kubectl: FakeKubectl, tmp_path: Path
) -> None:
    view = {
        "clusters": [{"name": "kind-x", "cluster": CLUSTER}],
        "users": [{"name": "admin", "user": {"client-key-data": "c2VjcmV0"}}],
    }
    kubectl.asked(*SECRET, out=token("its token"))
    kubectl.asked(*VIEW, out=json.dumps(view))
    path = tmp_path / "harness.kubeconfig"
    account = account_kubectl(Kubectl(tmp_path / "admin", "ctx"), path, "own")
    assert account == Kubectl(path, "harness")
    written = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert written["clusters"] == [{"name": "cluster", "cluster": CLUSTER}]
    assert written["users"] == [{"name": "harness", "user": {"token": "its token"}}]
    (context,) = written["contexts"]
    assert context == {"name": "harness", "context": {"cluster": "cluster", "user": "harness", "namespace": "own"}}
    assert written["current-context"] == "harness"
    assert "c2VjcmV0" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("before", [None, 0o644])
def test_only_its_owner_can_read_the_kubeconfig(kubectl: FakeKubectl, tmp_path: Path, before: int | None) -> None:
    path = tmp_path / "harness.kubeconfig"
    if before is not None:
        path.write_text("of an earlier run")
        path.chmod(before)
    kubectl.asked(*SECRET, out=token("t"))
    kubectl.asked(*VIEW, out=json.dumps({"clusters": [{"cluster": CLUSTER}]}))
    account_kubectl(Kubectl(tmp_path / "admin", "ctx"), path, "own")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_token_that_is_not_there_yet_is_waited_for(kubectl: FakeKubectl, tmp_path: Path) -> None:
    kubectl.asked(*SECRET, out="{}")
    kubectl.asked(*SECRET, out='{"data": null}')
    kubectl.asked(*SECRET, out=token("late"))
    kubectl.asked(*VIEW, out=json.dumps({"clusters": [{"cluster": CLUSTER}]}))
    path = tmp_path / "k"
    account_kubectl(Kubectl(tmp_path / "admin", "ctx"), path, "own")
    assert yaml.safe_load(path.read_text(encoding="utf-8"))["users"][0]["user"] == {"token": "late"}


def test_an_account_that_may_not_be_read_is_an_error_and_nothing_is_written(
    kubectl: FakeKubectl, tmp_path: Path
) -> None:
    kubectl.asked(*SECRET, err='Error from server (NotFound): secrets "harness-token" not found', code=1)
    with pytest.raises(HarnessError, match="harness-token"):
        account_kubectl(Kubectl(tmp_path / "admin", "ctx"), tmp_path / "k", "own")
    assert not (tmp_path / "k").exists()
