"""What a cluster's API says, as faults ask for it, and how its nodes are reached; docker is a script."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.environments.kube.breakage import Breakage
from harness.environments.kube.kubectl import Kubectl
from harness.environments.kube.pods import ClusterPod, read_pod
from harness.environments.kube.rollouts import missing_of_rollout
from harness.errors import HarnessError, PodGone
from tests.environments.fake_programs import FakeKubectl, Program


def raw_pod(name: str = "app-1", **status: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "name": name,
            "namespace": "n",
            "uid": "u-1",
            "ownerReferences": [{"kind": "ReplicaSet", "name": "app-5c"}],
        },
        "spec": {
            "nodeName": "n1",
            "containers": [{"name": "main", "ports": [{"containerPort": 80}]}, {"name": "side"}],
        },
        "status": {"phase": "Running", "podIP": "10.0.0.7", **status},
    }


def breakage(raw: dict[str, Any], node: dict[str, Any] | None = None) -> Breakage:
    answers = {
        "/api/v1/namespaces/n/pods/app-1": raw,
        "/api/v1/namespaces/n/pods": {"items": [raw]},
        "/api/v1/nodes/n1": node,
    }

    def pod(name: str, namespace: str) -> ClusterPod:
        if (name, namespace) != ("app-1", "n"):
            raise PodGone(name)
        return read_pod(raw)

    return Breakage(
        Kubectl(Path("/none"), "none"),
        pod=pod,
        pods=lambda *_: [read_pod(raw)],
        ask=answers.__getitem__,
        own_image="own:1",
    )


@pytest.mark.parametrize("status", ["True", "False", "Unknown"])
def test_a_nodes_own_condition_is_told(status: str) -> None:
    conditions = [{"type": "DiskPressure", "status": "False"}, {"type": "Ready", "status": status}]
    assert breakage(raw_pod(), {"status": {"conditions": conditions}}).node_status("n1") == status


def test_a_node_that_never_said_anything_is_unknown() -> None:
    assert breakage(raw_pod(), {"status": {}}).node_status("n1") == "Unknown"


@pytest.mark.parametrize(("spec", "schedulable"), [({}, True), ({"unschedulable": True}, False)])
def test_a_cordoned_node_is_not_schedulable(spec: dict[str, Any], schedulable: bool) -> None:
    assert breakage(raw_pod(), {"spec": spec}).is_schedulable("n1") is schedulable


def ended(reason: str) -> dict[str, Any]:
    return {"terminated": {"reason": reason, "containerID": "containerd://abc", "exitCode": 137}}


def test_the_first_containers_last_end_counts_and_no_other() -> None:
    side = {"name": "side", "state": ended("Error")}
    main = {"name": "main", "state": {"running": {}}, "lastState": ended("OOMKilled")}
    assert breakage(raw_pod(containerStatuses=[side, main])).last_end("app-1", "n") == ("abc", "OOMKilled")
    assert breakage(raw_pod(containerStatuses=[side])).last_end("app-1", "n") == ("", "")


def test_a_container_that_is_down_now_ended_last() -> None:
    main = {"name": "main", "state": ended("OOMKilled"), "lastState": ended("Error")}
    assert breakage(raw_pod(containerStatuses=[main])).last_end("app-1", "n")[1] == "OOMKilled"


def test_a_pod_without_an_address_cannot_be_cut_off() -> None:
    assert breakage(raw_pod()).address("app-1", "n") == ("10.0.0.7", 80)
    with pytest.raises(HarnessError, match="has no address yet"):
        breakage(raw_pod(podIP="")).address("app-1", "n")


def test_why_a_pod_waits_is_its_reason_alone() -> None:
    waiting = {"state": {"waiting": {"reason": "ErrImagePull", "message": "no such host: x"}}}
    found = breakage(raw_pod(containerStatuses=[{"name": "main", **waiting}])).waiting("app", "n")
    assert found == {"app-1": "ErrImagePull"}


INSPECT = ("inspect", "--type", "container", "--format", '{{index .Config.Labels "io.x-k8s.kind.cluster"}}', "n1")


def test_a_node_is_reached_by_whoever_may_use_docker(programs: Path) -> None:
    docker = Program(programs, "docker")
    docker.expects(*INSPECT, out="harness-x\n")
    for _ in range(2):  # it is looked at once
        docker.expects("exec", "n1", "sh", "-c", "systemctl stop kubelet", "sh")
    broken = breakage(raw_pod())
    broken.stop_kubelet("n1")
    broken.stop_kubelet("n1")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"out": "\n"}, "its container has no label io.x-k8s.kind.cluster"),
        ({"err": "Error: No such container: n1", "code": 1}, "No such container"),
        ({"err": "permission denied while trying to connect", "code": 1}, "permission denied"),
    ],
)
def test_a_node_that_is_no_container_of_kinds_here_is_out_of_reach(
    programs: Path, answer: dict[str, Any], why: str
) -> None:
    Program(programs, "docker").expects(*INSPECT, **answer)
    with pytest.raises(HarnessError, match=f"node n1 is no kind node on this machine, .*: .*{why}"):
        breakage(raw_pod()).stop_kubelet("n1")


def test_a_pod_with_its_nodes_network_is_refused() -> None:
    raw = raw_pod()
    raw["spec"]["hostNetwork"] = True
    with pytest.raises(HarnessError, match="has its node's network"):
        breakage(raw).accept_packets([("app-1", "n")], mark="m")


def controller(kind: str = "Deployment", **status: int | str) -> dict[str, Any]:
    complete = {"observedGeneration": 3, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2}
    return {
        "kind": kind,
        "metadata": {"generation": 3},
        "spec": {"replicas": 2},
        "status": {key: value for key, value in {**complete, **status}.items() if value is not None},
    }


@pytest.mark.parametrize(
    ("status", "missing"),
    [
        ({}, None),
        ({"observedGeneration": 2}, "the change has not been seen yet"),
        ({"updatedReplicas": 1}, "1 of 2 pods are updated"),
        ({"readyReplicas": 1}, "1 of 2 pods are ready"),
        ({"replicas": 3}, "1 old pods are still there"),
    ],
)
def test_a_rollout_is_complete_when_all_pods_are_new_and_ready(status: dict[str, int], missing: str | None) -> None:
    assert missing_of_rollout(controller(**status)) == missing


def test_a_stateful_set_that_was_never_updated_counts_its_current_pods() -> None:
    same = {"currentRevision": "a", "updateRevision": "a", "currentReplicas": 2, "updatedReplicas": 0}
    assert missing_of_rollout(controller("StatefulSet", **same)) is None
    assert missing_of_rollout(controller("StatefulSet", **{**same, "updateRevision": "b"})) == "0 of 2 pods are updated"


GET_SET = ("get", "-n", "n", "statefulset", "db", "-o", "json")
EVICT = ("create", "--raw", "/api/v1/namespaces/n/pods/db-1/eviction", "-f", "-")


def stateful_pod(name: str, revision: str, *, ready: bool) -> ClusterPod:
    raw = raw_pod(name, conditions=[{"type": "Ready", "status": str(ready)}])
    raw["metadata"] |= {
        "ownerReferences": [{"kind": "StatefulSet", "name": "db"}],
        "labels": {"controller-revision-hash": revision},
    }
    return read_pod(raw)


@pytest.fixture
def kubectl(programs: Path, tmp_path: Path) -> FakeKubectl:
    return FakeKubectl(programs, tmp_path / "config", "ctx")


def stuck(tmp_path: Path, *pods: ClusterPod) -> Breakage:
    return Breakage(
        Kubectl(tmp_path / "config", "ctx"), pod=lambda *_: pods[0], pods=lambda *_: pods, ask=str, own_image="own:1"
    )


def test_a_stateful_sets_pod_of_a_former_template_that_never_becomes_ready_is_evicted(
    kubectl: FakeKubectl, tmp_path: Path
) -> None:
    seen = controller("StatefulSet", updateRevision="db-a", currentRevision="db-a")
    kubectl.asked(*GET_SET, out=json.dumps(controller("StatefulSet", observedGeneration=2, updateRevision="db-b")))
    kubectl.asked(*GET_SET, out=json.dumps(seen))
    kubectl.asked(*EVICT)
    good, bad = stateful_pod("db-0", "db-a", ready=True), stateful_pod("db-1", "db-b", ready=False)
    stuck(tmp_path, good, bad).replace_stuck("db", "n")
    assert json.loads(kubectl.given(3))["metadata"]["name"] == "db-1"


def test_a_pod_that_is_ready_or_of_the_present_template_is_not_evicted(kubectl: FakeKubectl, tmp_path: Path) -> None:
    kubectl.asked(*GET_SET, out=json.dumps(controller("StatefulSet", updateRevision="db-a")))
    starting, former = stateful_pod("db-0", "db-a", ready=False), stateful_pod("db-1", "db-b", ready=True)
    stuck(tmp_path, starting, former).replace_stuck("db", "n")
