"""What faults do to a cluster's pods and what they have, and how it is undone; kubectl and docker are scripts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.environments.kube.cluster import Cluster
from harness.environments.kube.vocabulary import ACCOUNT
from harness.errors import HarnessError, PodGone
from tests.environments.fake_api import FakeApi
from tests.environments.fake_programs import FakeKubectl
from tests.environments.test_kube_pods import raw_pod
from tests.environments.test_kube_state import state

PODS = "/api/v1/namespaces/a/pods"


@pytest.fixture
def kubectl(programs: Path, tmp_path: Path) -> FakeKubectl:
    return FakeKubectl(programs, tmp_path / "harness.kubeconfig", ACCOUNT)


@pytest.fixture
def cluster(api: FakeApi, tmp_path: Path) -> Cluster:
    return Cluster(replace(state(tmp_path), run_dir=str(tmp_path / "run-1"), namespaces=("a",), proxy=api.url))


def pod_of(deployment: str, number: int, **changes: Any) -> dict[str, Any]:
    """A pod of a Deployment that has ``DEPLOYMENT-config`` in the volume ``config``."""
    volumes = [{"name": "config", "configMap": {"name": f"{deployment}-config"}}]
    spec = {"volumes": volumes, **changes.pop("spec", {})}
    owner = ("ReplicaSet", f"{deployment}-5c")
    return raw_pod(f"{deployment}-5c-{number}", namespace="a", owner=owner, spec=spec, **changes)


def patches(kubectl: FakeKubectl, kind: str, name: str) -> None:
    kubectl.asked("-n", "a", "patch", kind, name, "--type=merge", "--patch-file=/dev/stdin")


def test_a_config_map_is_written_to_when_its_pod_is_gone_and_no_other_however_alike_its_name(
    cluster: Cluster, api: FakeApi, kubectl: FakeKubectl
) -> None:
    api.lists(PODS, pod_of("inference", 1), pod_of("inference-canary", 1))
    source = json.loads(json.dumps(cluster.config_source("inference-canary-5c-1", "a", "config", "job.yaml")))
    api.lists(PODS, pod_of("inference", 1), pod_of("inference-canary", 2))
    patches(kubectl, "configmap", "inference-canary-config")
    patches(kubectl, "pod", "inference-canary-5c-2")
    cluster.write_config(source, "rate: 1\n")
    assert json.loads(kubectl.given(1)) == {"data": {"job.yaml": "rate: 1\n"}}


def test_a_config_map_is_written_to_when_no_pod_is_left(cluster: Cluster, api: FakeApi, kubectl: FakeKubectl) -> None:
    api.lists(PODS)
    patches(kubectl, "configmap", "c")
    cluster.write_config({"namespace": "a", "config_map": "c", "key": "k"}, "text")
    assert json.loads(kubectl.given()) == {"data": {"k": "text"}}


def test_a_pod_that_ends_has_no_kept_volume_any_more(cluster: Cluster, api: FakeApi) -> None:
    claim = {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]}
    ending = {"deletionTimestamp": "2026-01-01T00:00:01Z"}
    api.lists(PODS, pod_of("app", 1, spec=claim, metadata=ending), pod_of("app", 2, spec=claim))
    kept = cluster.kept_volume("app-5c-2", "a", "v")
    assert kept is not None
    assert [(pod.name, volume) for pod, volume in cluster.pods_with(kept)] == [("app-5c-2", "v")]
    with pytest.raises(PodGone):
        cluster.kept_volume("app-5c-1", "a", "v")


def test_what_keeps_one_of_the_harness_s_own_pods_is_told_in_the_cluster_s_words(
    cluster: Cluster, api: FakeApi
) -> None:
    waits = {"name": "main", "state": {"waiting": {"reason": "ErrImagePull", "message": "no such image"}}}
    api.lists(PODS, raw_pod("load-worker-0", namespace="a", status={"phase": "Pending", "containerStatuses": [waits]}))
    api.lists("/api/v1/namespaces/a/events")
    api.answers(f"{PODS}/load-worker-0/log?container=main&tailLines=5", "")
    assert cluster.why_not_running("load-worker-0", "a").startswith("container main: ErrImagePull: no such image")
    assert cluster.why_not_running("load-worker-1", "a") == "it is not there"


VERSIONS = {"new": {"kubernetes": "v1.22.0, v1.30.1"}, "old": {"kubernetes": "v1.20.15, v1.22.0"}, "unsaid": {}}
COST = "controller.kubernetes.io/pod-deletion-cost"
# A node's shell. It lists one process for each container; a kill leaves a file.
DOCKER = """\
#!/bin/sh
PATH={node}:$PATH exec /bin/sh
"""
NODE_SH = """\
#!/bin/sh
for last; do :; done
[ "$last" = 9 ] && touch {killed} || echo "4711 5 S 1"
"""


def unready(pod: dict[str, Any]) -> dict[str, Any]:
    return {**pod, "status": {**pod["status"], "conditions": [{"type": "Ready", "status": "False"}]}}


def of_version(cluster: Cluster, version: str) -> Cluster:
    return Cluster(replace(cluster.state, versions=VERSIONS[version]))


def deployment(kubectl: FakeKubectl, name: str, replicas: int, **annotations: str) -> None:
    found = {"metadata": {"annotations": annotations}, "spec": {"replicas": replicas}}
    kubectl.asked("get", "-n", "a", "deployment", name, "-o", "json", out=json.dumps(found))


def missing(kubectl: FakeKubectl, kind: str, name: str) -> None:
    said = f'Error from server (NotFound): {kind}s.apps "{name}" not found'
    kubectl.asked("get", "-n", "a", kind, name, "-o", "json", err=said, code=1)


def test_the_pod_that_is_kept_down_is_the_one_its_deployment_gives_up(
    cluster: Cluster, api: FakeApi, kubectl: FakeKubectl
) -> None:
    api.lists(PODS, pod_of("app", 1), pod_of("app", 2))
    patches(kubectl, "pod", "app-5c-2")
    deployment(kubectl, "app", 2)
    patches(kubectl, "deployment", "app")
    of_version(cluster, "new").keep_down("app-5c-2", "a")
    assert json.loads(kubectl.given(1)) == {"metadata": {"annotations": {COST: "-2147483647"}}}
    assert json.loads(kubectl.given(3))["spec"] == {"replicas": 1}


@pytest.mark.parametrize("version", ["old", "unsaid"])
def test_where_costs_do_not_count_it_is_given_up_since_it_is_not_ready(
    cluster: Cluster, api: FakeApi, kubectl: FakeKubectl, programs: Path, version: str
) -> None:
    killed = programs / "killed"
    node = programs / "node"
    node.mkdir()
    for path, text in ((programs / "docker", DOCKER), (node / "sh", NODE_SH)):
        path.write_text(text.format(node=node, killed=killed), encoding="utf-8")
        path.chmod(0o755)
    one, two = pod_of("app", 1), pod_of("app", 2)
    api.answers(PODS, lambda: {"items": [one, unready(two) if killed.exists() else two]})
    patches(kubectl, "pod", "app-5c-2")
    deployment(kubectl, "app", 2)
    kubectl.asked(
        *("-n", "a", "patch", "deployment", "app", "--type=merge", "--patch-file=/dev/stdin"),
        then=f"[ -e {killed} ] || exit 9",
    )
    of_version(cluster, version).keep_down("app-5c-2", "a")


def test_a_pod_is_not_kept_down_where_another_would_be_given_up(cluster: Cluster, api: FakeApi) -> None:
    api.lists(PODS, unready(pod_of("app", 1)), pod_of("app", 2))
    with pytest.raises(HarnessError, match="app-5c-2 cannot be kept down while app-5c-1 is not ready"):
        of_version(cluster, "new").keep_down("app-5c-2", "a")


def test_a_pod_of_a_workload_without_a_size_cannot_be_kept_down(cluster: Cluster, api: FakeApi) -> None:
    api.lists(PODS, raw_pod("gpu-x", namespace="a", owner=("DaemonSet", "gpu")))
    with pytest.raises(HarnessError, match="belongs to a DaemonSet"):
        cluster.keep_down("gpu-x", "a")


def test_the_workload_of_a_pod_that_is_gone_has_its_size_again_and_none_that_is_called_alike(
    cluster: Cluster, api: FakeApi, kubectl: FakeKubectl
) -> None:
    api.lists(PODS, pod_of("db", 1))
    for kind in ("deployment", "statefulset"):
        missing(kubectl, kind, "db-main-0")
    missing(kubectl, "deployment", "db-main")
    found = {"metadata": {"annotations": {"harness/replicas": "3"}}, "spec": {"replicas": 2}}
    kubectl.asked("get", "-n", "a", "statefulset", "db-main", "-o", "json", out=json.dumps(found))
    patches(kubectl, "statefulset", "db-main")
    cluster.let_up("db-main-0", "a")
    assert json.loads(kubectl.given(5))["spec"] == {"replicas": 3}


ENDING = {"deletionTimestamp": "2026-01-01T00:00:01Z", "uid": "u-7"}
# As a kubelet before 1.22 has it of a container that it finds no more.
LOST = {"waiting": {"reason": "ContainerCreating"}}


def stateful(state: dict[str, Any], last: dict[str, Any] | None = None) -> dict[str, Any]:
    statuses = [{"name": "main", "restartCount": 0, "state": state, "lastState": last or {}}]
    pod = raw_pod("db-0", namespace="a", owner=("StatefulSet", "db"), metadata=ENDING)
    return {**pod, "status": {**pod["status"], "containerStatuses": statuses}}


@pytest.mark.parametrize(
    ("state", "last", "goes"),
    [
        ({"terminated": {"exitCode": 0}}, None, True),
        (LOST, {"terminated": {"exitCode": 137}}, True),
        (LOST, None, False),
        ({"running": {}}, {"terminated": {"exitCode": 1}}, False),
    ],
)
def test_what_is_left_of_a_pod_that_ended_does_not_keep_its_name_from_the_next(
    cluster: Cluster, api: FakeApi, kubectl: FakeKubectl, state: dict[str, Any], last: dict[str, Any], goes: bool
) -> None:
    # It still runs; then it is as said; then its kubelet has told.
    looks = iter([[stateful({"running": {}})], [stateful(state, last)]])
    api.answers(PODS, lambda: {"items": next(looks, [])})
    missing(kubectl, "deployment", "db-0")
    missing(kubectl, "statefulset", "db-0")
    missing(kubectl, "deployment", "db")
    found = {"metadata": {"annotations": {"harness/replicas": "1"}}, "spec": {"replicas": 0}}
    kubectl.asked("get", "-n", "a", "statefulset", "db", "-o", "json", out=json.dumps(found))
    patches(kubectl, "statefulset", "db")
    if goes:
        kubectl.asked("delete", "--raw", f"{PODS}/db-0", "-f", "-")
    cluster.let_up("db-0", "a")
    if goes:
        told = json.loads(kubectl.given(6))
        assert (told["gracePeriodSeconds"], told["preconditions"]) == (0, {"uid": "u-7"})


def test_a_pod_that_cannot_be_struck_off_is_let_up_all_the_same(
    cluster: Cluster, api: FakeApi, kubectl: FakeKubectl
) -> None:
    api.lists(PODS, stateful({"terminated": {"exitCode": 0}}))
    found = {"metadata": {"annotations": {"harness/replicas": "1"}}, "spec": {"replicas": 0}}
    kubectl.asked("get", "-n", "a", "deployment", "db-0", "-o", "json", out=json.dumps(found))
    patches(kubectl, "deployment", "db-0")
    kubectl.asked("delete", "--raw", f"{PODS}/db-0", "-f", "-", err="forbidden", code=1)
    cluster.let_up("db-0", "a")


def test_a_pod_that_was_not_given_up_after_all_keeps_no_mark(
    cluster: Cluster, api: FakeApi, kubectl: FakeKubectl
) -> None:
    api.lists(PODS, pod_of("app", 1))
    deployment(kubectl, "app", 1)
    missing(kubectl, "statefulset", "app")
    patches(kubectl, "pod", "app-5c-1")
    cluster.let_up("app-5c-1", "a")
    assert json.loads(kubectl.given(3)) == {"metadata": {"annotations": {COST: None}}}
