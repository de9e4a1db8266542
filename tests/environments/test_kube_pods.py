"""Pods as the API tells of them, whose they are and what their containers do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.environments.kube.cluster import Cluster
from harness.environments.kube.pods import ClusterPod, list_pods, read_pod
from harness.environments.kube.vocabulary import MANAGED
from harness.errors import HarnessError
from tests.environments.fake_api import FakeApi
from tests.environments.test_kube_state import whole


def raw_pod(name: str, *, namespace: str = "n", owner: tuple[str, str] | None = None, **changes: Any) -> dict[str, Any]:
    """A pod as the API has it, of one container that runs."""
    owners = [{"kind": owner[0], "name": owner[1], "controller": True}] if owner else []
    status: dict[str, Any] = {
        "phase": "Running",
        "podIP": "10.0.0.7",
        "conditions": [{"type": "Ready", "status": "True"}],
        "containerStatuses": [status_of("main")],
    }
    metadata = {"name": name, "namespace": namespace, "uid": f"uid-{name}", "labels": {"app": "a", MANAGED: "run-1"}}
    return {
        "metadata": {
            **metadata,
            "creationTimestamp": "2026-01-01T00:00:00Z",
            **({"ownerReferences": owners} if owners else {}),
            **changes.pop("metadata", {}),
        },
        "spec": {"nodeName": "node-1", "containers": [{"name": "main", "image": "i"}], **changes.pop("spec", {})},
        "status": {**status, **changes.pop("status", {})},
        **changes,
    }


def status_of(name: str, number: int = 1, **state: Any) -> dict[str, Any]:
    return {
        "name": name,
        "containerID": f"containerd://{number:064x}",
        "state": state or {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
    }


def pod(name: str = "p", **changes: Any) -> ClusterPod:
    return read_pod(raw_pod(name, **changes))


@pytest.mark.parametrize(
    ("owner", "workload"),
    [
        (("ReplicaSet", "model-server-5d9c7b8f6d"), ("Deployment", "model-server")),
        (("StatefulSet", "prometheus-main"), ("StatefulSet", "prometheus-main")),
        (("DaemonSet", "gpu-exporter"), ("DaemonSet", "gpu-exporter")),
        (("Job", "training-2"), ("Job", "training-2")),
        (None, ("Pod", "p")),
    ],
)
def test_a_pod_belongs_to_what_the_stack_calls_its_owner(
    owner: tuple[str, str] | None, workload: tuple[str, str]
) -> None:
    found = pod(owner=owner)
    assert (found.owner_kind, found.workload) == workload


def test_a_running_pod_is_read_whole() -> None:
    found = pod(spec={"hostPID": True})
    assert (found.namespace, found.name, found.uid, found.node, found.phase) == (
        *("n", "p", "uid-p", "node-1", "Running"),
    )
    assert (found.ready, found.ending, found.labels) == (True, False, {"app": "a", MANAGED: "run-1"})
    (container,) = found.containers
    assert (container.name, container.id, container.running) == ("main", f"{1:064x}", True)
    assert (container.exit_code, container.waiting) == (None, "")
    assert found.spec["hostPID"] is True
    assert found.conditions == {}


def test_a_pod_nobody_has_placed_yet_has_neither_node_nor_containers() -> None:
    found = read_pod(
        {
            "metadata": {"name": "p", "namespace": "n", "uid": "u"},
            "spec": {"containers": [{"name": "main"}]},
            "status": {
                "phase": "Pending",
                "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no"}],
            },
        }
    )
    assert (found.node, found.containers, found.ready, found.labels) == ("", (), False, {})
    assert found.conditions == {"PodScheduled": "Unschedulable: no"}


def test_a_pod_that_is_being_deleted_is_ending() -> None:
    assert pod(metadata={"deletionTimestamp": "2026-01-01T00:00:01Z"}).ending


@pytest.mark.parametrize(
    ("state", "last", "running", "exit_code", "waiting"),
    [
        ({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}, {"exitCode": 137}, False, 137,
         "CrashLoopBackOff: back-off"),
        ({"waiting": {"reason": "ContainerCreating"}}, None, False, None, "ContainerCreating"),
        ({"terminated": {"exitCode": 0}}, {"exitCode": 1}, False, 0, ""),
        ({"running": {}}, {"exitCode": 2}, True, 2, ""),
    ],
)  # fmt: skip
def test_a_container_tells_whether_it_runs_how_it_ended_and_what_it_waits_for(
    state: dict[str, Any], last: dict[str, Any] | None, running: bool, exit_code: int | None, waiting: str
) -> None:
    status = {"name": "main", "state": state, **({"lastState": {"terminated": last}} if last else {})}
    (found,) = pod(status={"containerStatuses": [status]}).containers
    assert (found.running, found.exit_code, found.waiting) == (running, exit_code, waiting)
    assert found.id == ""


def test_containers_stand_in_the_order_of_the_spec_not_in_the_kubelets() -> None:
    # A kubelet sorts its statuses by name, and the first container is the one that faults are about.
    found = pod(
        spec={"containers": [{"name": "prometheus"}, {"name": "discovery"}]},
        status={"containerStatuses": [status_of("discovery", 1), status_of("prometheus", 2)]},
    )
    assert [(each.name, each.id) for each in found.containers] == [
        ("prometheus", f"{2:064x}"),
        ("discovery", f"{1:064x}"),
    ]


def test_a_status_that_is_not_there_yet_moves_no_other() -> None:
    found = pod(spec={"containers": [{"name": "b"}, {"name": "a"}]}, status={"containerStatuses": [status_of("a", 3)]})
    assert [(each.name, each.id) for each in found.containers] == [("a", f"{3:064x}")]


def test_init_containers_are_told_apart() -> None:
    status = {"name": "open", "state": {"waiting": {"reason": "PodInitializing"}}}
    found = pod(spec={"initContainers": [{"name": "open"}]}, status={"initContainerStatuses": [status]})
    assert [each.name for each in found.containers] == ["main"]
    assert [(each.name, each.waiting) for each in found.init_containers] == [("open", "PodInitializing")]


def test_pods_of_all_namespaces_are_listed_oldest_first(api: FakeApi) -> None:
    young, old = {"creationTimestamp": "2026-01-01T00:00:09Z"}, {"creationTimestamp": "2026-01-01T00:00:01Z"}
    api.lists("/api/v1/namespaces/a/pods", raw_pod("young", namespace="a", metadata=young))
    api.lists(
        "/api/v1/namespaces/b/pods",
        raw_pod("z", namespace="b", metadata=old),
        raw_pod("y", namespace="b", metadata=old),
    )
    assert [each.name for each in list_pods(api.url, ("a", "b"))] == ["y", "z", "young"]


def test_a_namespace_without_pods_has_none(api: FakeApi) -> None:
    api.lists("/api/v1/namespaces/a/pods")
    assert list_pods(api.url, ["a"]) == ()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"kind": "Status", "reason": "Forbidden"}, 403),
        ("<html>", 200),
        ({"kind": "Status"}, 200),
        ({"items": [{"metadata": {}}]}, 200),
        ({"items": None}, 200),
    ],
)
def test_pods_that_cannot_be_listed_are_an_error_that_names_the_namespace(api: FakeApi, body: Any, status: int) -> None:
    api.lists("/api/v1/namespaces/a/pods")
    api.answers("/api/v1/namespaces/b/pods", body, status)
    with pytest.raises(HarnessError, match=r"^pods of namespace b cannot be listed: "):
        list_pods(api.url, ["a", "b"])


def test_an_api_that_is_not_there_is_an_error() -> None:
    with pytest.raises(HarnessError, match="pods of namespace a cannot be listed"):
        list_pods("http://127.0.0.1:9", ["a"])


@pytest.mark.parametrize(("policy", "completes"), [("Always", False), ("OnFailure", True), ("Never", True)])
def test_the_work_of_a_pod_that_is_not_always_restarted_has_an_end(
    api: FakeApi, tmp_path: Path, policy: str, completes: bool
) -> None:
    job = raw_pod("w-1", owner=("Job", "w"), spec={"restartPolicy": policy})
    api.lists("/api/v1/namespaces/n/pods", job)
    (state,) = Cluster(replace(whole(tmp_path / "run-1"), proxy=api.url, namespaces=("n",))).container_states()
    assert (state["pod"], state["workload"], state["running"], state["completes"]) == ("w-1", "w", True, completes)
