"""What is removed at the end, from which cluster, and that all of it is tried; kind and kubectl are scripts."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.environments.kube.ending import take_down
from harness.environments.kube.state import ClusterState
from harness.environments.processes import process_started
from harness.errors import HarnessError
from tests.environments.fake_programs import FakeKubectl, Program
from tests.environments.test_kube_state import state

CHOSEN = ("-l", "harness/run=run-1")
NAMESPACES = ("get", "namespaces", *CHOSEN, "-o", "json")
GONE = ("--cascade=foreground", "--wait=true", "--timeout=300s")
SCOPED_KINDS = (
    "ClusterRole.rbac.authorization.k8s.io,ClusterRoleBinding.rbac.authorization.k8s.io,StorageClass.storage.k8s.io,"
    "PriorityClass.scheduling.k8s.io,PersistentVolume"
)
MAKERS = "deployments,replicasets,statefulsets,daemonsets,jobs"
KINDS = (
    "Deployment.apps,StatefulSet.apps,DaemonSet.apps,Job.batch,CronJob.batch,Pod,Service,Endpoints,ConfigMap,Secret,"
    "PersistentVolumeClaim,ServiceAccount,LimitRange,ResourceQuota,Role.rbac.authorization.k8s.io,"
    "RoleBinding.rbac.authorization.k8s.io,PodDisruptionBudget.policy,NetworkPolicy.networking.k8s.io,"
    "Ingress.networking.k8s.io,HorizontalPodAutoscaler.autoscaling"
)


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """A run's directory with all that stands in it while a cluster is up."""
    folder = tmp_path / "run-1"
    (folder / "gpu").mkdir(parents=True)
    for name in ("cluster.kubeconfig", "harness.kubeconfig", "gpu/devices", "timeline.jsonl"):
        (folder / name).write_text("x", encoding="utf-8")
    return folder


@pytest.fixture
def up(run_dir: Path) -> ClusterState:
    found = state(run_dir)
    found.save()
    return found


@pytest.fixture
def kept(up: ClusterState) -> ClusterState:
    return replace(up, keep=True)


@pytest.fixture
def lent(up: ClusterState) -> ClusterState:
    return replace(up, environment="kube", cluster="", keep=True, lent=True, context="theirs")


@pytest.fixture
def kind(programs: Path) -> Program:
    return Program(programs, "kind")


@pytest.fixture
def kubectl(programs: Path, run_dir: Path) -> FakeKubectl:
    return FakeKubectl(programs, run_dir / "cluster.kubeconfig", "kind-harness-x")


@pytest.fixture
def their_kubectl(programs: Path, run_dir: Path) -> FakeKubectl:
    return FakeKubectl(programs, run_dir / "cluster.kubeconfig", "theirs")


def deletes(kind: Program, up: ClusterState, **answer: object) -> None:
    kind.expects(*("delete", "cluster", "--name", up.cluster, "--kubeconfig", up.kubeconfig), **answer)  # type: ignore[arg-type]


def labelled(*names: str) -> str:
    return json.dumps({"items": [{"metadata": {"name": name}} for name in names]})


def empties(kubectl: FakeKubectl, *namespaces: str, cascade: str = "background", then: str = "") -> None:
    """Pods go first, and nobody makes them anew; here they are gone at once. ``then``: as what makes them goes."""
    for namespace in namespaces:
        here = ("-n", namespace, "delete")
        chosen = (*CHOSEN, "--ignore-not-found")
        kubectl.asked(*here, MAKERS, *chosen, f"--cascade={cascade}", "--wait=false", then=then)
        kubectl.asked(*here, "pods", *chosen, "--grace-period=1", "--wait=false")
        kubectl.asked("get", "pods", "-n", namespace, *CHOSEN, "-o", "json", out=labelled())


def deletes_in(kubectl: FakeKubectl, namespace: str, kinds: str, **answer: Any) -> None:
    """What of these kinds lies in a namespace is gone."""
    kubectl.asked("-n", namespace, "delete", kinds, *CHOSEN, *GONE, "--ignore-not-found", timeout_s=310, **answer)


def deletes_of_the_cluster(kubectl: FakeKubectl, kinds: str, **answer: Any) -> None:
    """What of these kinds is the cluster's is going."""
    kubectl.asked("delete", kinds, *CHOSEN, "--wait=false", "--ignore-not-found", timeout_s=310, **answer)


def left(run_dir: Path) -> list[str]:
    return sorted(str(path.relative_to(run_dir)) for path in run_dir.rglob("*"))


def test_a_cluster_of_the_runs_own_is_deleted_as_a_whole(kind: Program, up: ClusterState, run_dir: Path) -> None:
    deletes(kind, up)
    take_down(up)
    assert left(run_dir) == ["environment.json", "timeline.jsonl"]
    assert ClusterState.load(run_dir).ended


def test_ending_it_again_does_no_harm(kind: Program, up: ClusterState, run_dir: Path) -> None:
    deletes(kind, up)
    deletes(kind, up)
    take_down(up)
    take_down(ClusterState.load(run_dir))
    assert ClusterState.load(run_dir).ended


def test_the_proxy_ends_first_and_a_later_process_of_its_number_does_not(kind: Program, up: ClusterState) -> None:
    with subprocess.Popen(["sleep", "60"]) as proxy, subprocess.Popen(["sleep", "60"]) as other:
        try:
            started = process_started(other.pid)
            assert started is not None
            deletes(kind, up)
            deletes(kind, up)
            take_down(replace(up, proxy_pid=other.pid, proxy_started=started - 1))
            assert other.poll() is None
            started = process_started(proxy.pid)
            assert started is not None
            take_down(replace(up, proxy_pid=proxy.pid, proxy_started=started))
            proxy.wait(timeout=10)
        finally:
            other.kill()
            proxy.kill()


def test_a_cluster_that_cannot_be_deleted_is_an_error_and_all_else_is_removed(
    kind: Program, up: ClusterState, run_dir: Path
) -> None:
    deletes(kind, up, err="ERROR: failed to delete", code=1)
    with subprocess.Popen(["sleep", "60"]) as proxy:
        try:
            started = process_started(proxy.pid)
            assert started is not None
            with pytest.raises(HarnessError, match="kind delete cluster: ERROR: failed to delete"):
                take_down(replace(up, proxy_pid=proxy.pid, proxy_started=started))
            proxy.wait(timeout=10)
        finally:
            proxy.kill()
    assert left(run_dir) == ["cluster.kubeconfig", "environment.json", "timeline.jsonl"]
    assert not ClusterState.load(run_dir).ended, "another process may try again"


def test_a_directory_that_is_gone_is_no_hindrance(kind: Program, up: ClusterState, run_dir: Path) -> None:
    for path in sorted(run_dir.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    run_dir.rmdir()
    deletes(kind, up)
    take_down(up)
    assert not run_dir.exists()


def test_a_kept_cluster_loses_just_what_the_run_made(
    kind: Program, kubectl: FakeKubectl, kept: ClusterState, run_dir: Path
) -> None:
    kubectl.asked(*NAMESPACES, out=labelled("harness", "b"))
    deletes_of_the_cluster(kubectl, SCOPED_KINDS)
    empties(kubectl, "a")
    deletes_in(kubectl, "a", KINDS)
    empties(kubectl, "harness", cascade="orphan")
    kubectl.asked("delete", "namespaces", "b", "harness", *GONE, "--ignore-not-found", timeout_s=310)
    take_down(kept)
    # The directory is what the cluster's nodes show: another one of the same name would not be seen in them.
    assert left(run_dir) == ["environment.json", "gpu", "timeline.jsonl"]
    assert ClusterState.load(run_dir).ended


def test_of_what_a_run_made_everything_is_tried_and_every_failure_is_told(
    kubectl: FakeKubectl, kept: ClusterState, run_dir: Path
) -> None:
    kubectl.asked(*NAMESPACES, out=labelled("harness"))
    deletes_of_the_cluster(kubectl, SCOPED_KINDS, err="first", code=1)
    empties(kubectl, "a")
    deletes_in(kubectl, "a", KINDS, err="second", code=1)
    empties(kubectl, "harness", cascade="orphan")
    kubectl.asked("delete", "namespaces", "harness", *GONE, "--ignore-not-found", timeout_s=310)
    with pytest.raises(HarnessError, match=r"(?s)first.*second"):
        take_down(kept)
    assert "cluster.kubeconfig" in left(run_dir), "whoever tries again needs it"
    assert "harness.kubeconfig" not in left(run_dir)
    assert not ClusterState.load(run_dir).ended


def test_whatever_kind_was_made_is_removed_and_one_the_cluster_does_not_know_was_not(
    kubectl: FakeKubectl, kept: ClusterState
) -> None:
    unknown = "error: the server doesn't have a resource type"
    kinds = ("ConfigMap", "IngressClass.networking.k8s.io", "Lease.coordination.k8s.io", "Namespace")
    further = ("PersistentVolume", "PodSecurityPolicy.policy", "PodTemplate")
    kubectl.asked(*NAMESPACES, out=labelled("harness"))
    deletes_of_the_cluster(kubectl, SCOPED_KINDS)
    deletes_of_the_cluster(kubectl, "IngressClass.networking.k8s.io")
    deletes_of_the_cluster(kubectl, "PodSecurityPolicy.policy", err=unknown, code=1)
    empties(kubectl, "harness", cascade="orphan")
    for namespace in ("a", "kube-system"):
        empties(kubectl, namespace)
        deletes_in(kubectl, namespace, KINDS)
        deletes_in(kubectl, namespace, "Lease.coordination.k8s.io", err=unknown, code=1)
        deletes_in(kubectl, namespace, "PodTemplate")
    kubectl.asked("delete", "namespaces", "harness", *GONE, "--ignore-not-found", timeout_s=310)
    take_down(replace(kept, kinds=(*kinds, *further), beyond=("kube-system",)))


def test_a_further_kind_that_cannot_be_removed_is_told(their_kubectl: FakeKubectl, lent: ClusterState) -> None:
    for namespace in ("a", "harness"):
        empties(their_kubectl, namespace)
        deletes_in(their_kubectl, namespace, KINDS)
        deletes_in(their_kubectl, namespace, "PodTemplate", err=f"forbidden in {namespace}", code=1)
    with pytest.raises(HarnessError, match=r"forbidden in a; .*forbidden in harness"):
        take_down(replace(lent, kinds=("PodTemplate", "IngressClass.networking.k8s.io")))


def test_an_operators_own_objects_go_before_what_it_makes_of_them(
    kubectl: FakeKubectl, kept: ClusterState, tmp_path: Path
) -> None:
    monitors, prometheuses = (f"{kind}.monitoring.coreos.com" for kind in ("ServiceMonitor", "Prometheus"))
    kubectl.asked(*NAMESPACES, out=labelled("harness"))
    deletes_of_the_cluster(kubectl, SCOPED_KINDS)
    for namespace in ("a", "harness"):
        deletes_in(kubectl, namespace, monitors, then=f"echo monitors {namespace} >> {tmp_path}/gone")
        deletes_in(kubectl, namespace, prometheuses, then=f"echo prometheuses {namespace} >> {tmp_path}/gone")
    empties(kubectl, "harness", cascade="orphan", then=f"cp {tmp_path}/gone {tmp_path}/before")
    empties(kubectl, "a")
    deletes_in(kubectl, "a", KINDS)
    kubectl.asked("delete", "namespaces", "harness", *GONE, "--ignore-not-found", timeout_s=310)
    take_down(replace(kept, kinds=(prometheuses, monitors)))
    before = (tmp_path / "before").read_text(encoding="utf-8").splitlines()
    assert sorted(before) == ["monitors a", "monitors harness", "prometheuses a", "prometheuses harness"]


def test_namespaces_that_cannot_be_listed_keep_nothing_from_being_tried(
    kubectl: FakeKubectl, kept: ClusterState
) -> None:
    kubectl.asked(*NAMESPACES, err="no list", code=1)
    deletes_of_the_cluster(kubectl, SCOPED_KINDS)
    for namespace in ("a", "harness"):
        empties(kubectl, namespace)
        deletes_in(kubectl, namespace, KINDS)
    with pytest.raises(HarnessError, match="no list"):
        take_down(kept)


def test_in_a_lent_cluster_nothing_is_asked_for_outside_the_lent_namespaces(
    their_kubectl: FakeKubectl, lent: ClusterState, run_dir: Path
) -> None:
    for namespace in ("a", "harness"):
        empties(their_kubectl, namespace)
        deletes_in(their_kubectl, namespace, KINDS)
    take_down(lent)
    assert left(run_dir) == ["environment.json", "gpu", "timeline.jsonl"]


def test_a_cluster_that_was_never_reached_has_nothing_to_remove(
    programs: Path, kept: ClusterState, run_dir: Path
) -> None:
    Path(kept.kubeconfig).unlink()
    take_down(kept)
    assert ClusterState.load(run_dir).ended
