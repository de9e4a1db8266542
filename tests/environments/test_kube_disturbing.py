"""What faults do to a cluster's pods and what they have, and how it is undone; kubectl and docker are scripts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.environments.kube.cluster import Cluster
from harness.environments.kube.vocabulary import ACCOUNT
from harness.errors import PodGone
from tests.environments.test_kube_kubectl import FakeKubectl, on_path
from tests.environments.test_kube_pods import FakeApi, raw_pod
from tests.environments.test_kube_state import state

PODS = "/api/v1/namespaces/a/pods"


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with on_path(tmp_path / "bin", monkeypatch) as folder:
        yield folder


@pytest.fixture
def kubectl(programs: Path, tmp_path: Path) -> FakeKubectl:
    return FakeKubectl(programs, tmp_path / "harness.kubeconfig", ACCOUNT)


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with FakeApi() as api:
        yield api


@pytest.fixture
def cluster(api: FakeApi, tmp_path: Path) -> Cluster:
    return Cluster(replace(state(tmp_path), namespaces=("a",), proxy=api.url))


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
