"""How kubectl is called, for which cluster, and what becomes of what it says; kubectl itself is a script."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from harness.environments.kube.kubectl import Kubectl
from harness.errors import HarnessError
from tests.environments.fake_programs import FakeKubectl, on_path


@pytest.fixture
def kubectl(programs: Path, tmp_path: Path) -> FakeKubectl:
    return FakeKubectl(programs, tmp_path / "config", "ctx")


@pytest.fixture
def cluster(tmp_path: Path) -> Kubectl:
    return Kubectl(tmp_path / "config", "ctx")


def test_every_call_names_the_cluster_and_none_falls_back_to_the_users_own(
    kubectl: FakeKubectl, cluster: Kubectl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", "/the/users/own")
    kubectl.asked("get", "pods", "-o", "json", out='{"items": []}')
    kubectl.asked("apply", "-f", "-", timeout_s=120)
    kubectl.asked("delete", "-f", "-", "--ignore-not-found", "--wait=false", "--grace-period=2")
    kubectl.asked("-n", "n", "patch", "deployment", "d", "--type=merge", "--patch-file=/dev/stdin")
    assert cluster.get("pods") == {"items": []}
    cluster.apply([{"kind": "Pod"}])
    cluster.delete([{"kind": "Pod"}], grace_s=2)
    cluster.patch("deployment", "d", "n", {"spec": {}})
    assert cluster.argv("proxy")[0] == str(kubectl.path)
    assert cluster.argv("proxy")[1:] == [*kubectl.cluster, "proxy"]


def test_objects_are_applied_as_one_list_in_their_order(kubectl: FakeKubectl, cluster: Kubectl) -> None:
    kubectl.asked("apply", "-f", "-", timeout_s=120)
    cluster.apply({"kind": kind} for kind in ("Namespace", "Pod"))
    assert json.loads(kubectl.given()) == {
        "apiVersion": "v1",
        "kind": "List",
        "items": [{"kind": "Namespace"}, {"kind": "Pod"}],
    }


def test_what_is_too_large_for_an_annotation_is_applied_by_the_server_in_its_turn(
    kubectl: FakeKubectl, cluster: Kubectl
) -> None:
    kubectl.asked("apply", "-f", "-", timeout_s=120)
    kubectl.asked("apply", "--server-side", "--force-conflicts", "-f", "-", timeout_s=120)
    kubectl.asked("apply", "-f", "-", timeout_s=120)
    large = {"kind": "ConfigMap", "data": {"page": "x" * 210_000}}
    cluster.apply([{"kind": "Namespace"}, large, {"kind": "Pod"}])
    given = [json.loads(kubectl.given(number))["items"] for number in (1, 2, 3)]
    assert given == [[{"kind": "Namespace"}], [large], [{"kind": "Pod"}]]


def test_nothing_to_apply_or_delete_is_no_call(kubectl: FakeKubectl, cluster: Kubectl) -> None:
    cluster.apply([])
    cluster.delete([], grace_s=2)


def test_a_deletion_is_not_waited_for_since_that_needs_the_right_to_watch(
    kubectl: FakeKubectl, cluster: Kubectl
) -> None:
    kubectl.asked("delete", "-f", "-", "--ignore-not-found", "--wait=false", "--grace-period=7")
    cluster.delete([{"kind": "Pod"}], grace_s=7)
    assert [each["kind"] for each in json.loads(kubectl.given())["items"]] == ["Pod"]


def test_a_change_longer_than_a_command_line_gets_there(kubectl: FakeKubectl, cluster: Kubectl) -> None:
    kubectl.asked("-n", "n", "patch", "configmap", "rules", "--type=merge", "--patch-file=/dev/stdin")
    change = {"data": {"rules.yml": "x" * 300_000}}
    cluster.patch("configmap", "rules", "n", change)
    assert json.loads(kubectl.given()) == change


def test_a_call_that_fails_is_told_in_kubectls_words_without_its_noise(kubectl: FakeKubectl, cluster: Kubectl) -> None:
    noise = "WARNING: version difference between client and server\nWarning: v1 is deprecated\n"
    kubectl.asked("apply", "-f", "-", timeout_s=120, err=f"{noise}error: a\nerror: b\n", code=1)
    with pytest.raises(HarnessError) as caught:
        cluster.apply([{"kind": "Pod"}])
    assert str(caught.value) == "kubectl apply -f -: error: a; error: b"


def test_a_call_that_fails_without_a_word_tells_its_status(kubectl: FakeKubectl, cluster: Kubectl) -> None:
    kubectl.asked("get", "pods", "-o", "json", err="Warning: old\n", code=3)
    with pytest.raises(HarnessError, match=r"^kubectl get pods -o json: exit status 3$"):
        cluster.get("pods")


def test_warnings_of_a_call_that_succeeds_are_none_of_its_output(kubectl: FakeKubectl, cluster: Kubectl) -> None:
    kubectl.asked("version", out="v1\n", err="Warning: old\n")
    assert cluster.run("version") == b"v1\n"


def test_of_some_objects_those_that_are_there_are_found_by_their_names_alone(
    kubectl: FakeKubectl, cluster: Kubectl
) -> None:
    call = ("get", "-f", "-", "--ignore-not-found", "-o", "json")
    there = {"kind": "Service", "metadata": {"name": "s", "namespace": "n", "labels": {"a": "b"}}}
    kubectl.asked(*call, timeout_s=120, out=json.dumps({"kind": "List", "items": [there]}))
    kubectl.asked(*call, timeout_s=120)
    named = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "namespace": "n"}}
    large = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}
    asked = [{**named, "spec": {}}, {**large, "metadata": {**large["metadata"], "labels": {}}, "data": {"x": "y" * 9}}]
    assert cluster.existing(asked) == [there]
    assert cluster.existing(asked) == []
    assert json.loads(kubectl.given())["items"] == [named, large]


def test_objects_of_which_one_cannot_be_looked_for_are_an_error(kubectl: FakeKubectl, cluster: Kubectl) -> None:
    call = ("get", "-f", "-", "--ignore-not-found", "-o", "json")
    kubectl.asked(*call, timeout_s=120, out='{"items": []}', err="Error from server (Forbidden): no", code=1)
    with pytest.raises(HarnessError, match="Forbidden"):
        cluster.existing([{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}])


@pytest.mark.parametrize("said", ["", "<html>", "[1"])
def test_an_answer_that_is_no_json_is_an_error_of_the_harness(
    kubectl: FakeKubectl, cluster: Kubectl, said: str
) -> None:
    kubectl.asked("get", "pods", "-o", "json", out=said)
    with pytest.raises(HarnessError, match=r"kubectl get pods: got .*, need JSON"):
        cluster.get("pods")


def test_an_answer_that_does_not_come_is_given_up(
    cluster: Kubectl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with on_path(tmp_path / "slow", monkeypatch) as folder:
        (folder / "kubectl").write_text("#!/bin/sh\nexec sleep 60\n", encoding="utf-8")
        (folder / "kubectl").chmod(0o755)
        # kubectl gets five seconds more to give up by itself; a time below zero leaves less of them.
        with pytest.raises(HarnessError, match=r"kubectl get pods -o json: no answer within -4\.8 s"):
            cluster.get("pods", timeout_s=-4.8)


def test_a_missing_kubectl_is_named_with_where_to_get_it(
    cluster: Kubectl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HarnessError, match="kubectl is not on PATH; install it"):
        cluster.argv("version")
    with pytest.raises(HarnessError, match="kubectl is not on PATH"):
        cluster.get("pods")


def test_a_kubectl_that_cannot_be_run_is_an_error_of_the_harness(
    cluster: Kubectl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    shutil.copy("/bin/true", broken / "kubectl")
    (broken / "kubectl").write_bytes(b"\x7fELF no program")
    (broken / "kubectl").chmod(0o755)
    monkeypatch.setenv("PATH", str(broken))
    with pytest.raises(HarnessError, match=r"kubectl get pods -o json: Exec format error"):
        cluster.get("pods")
