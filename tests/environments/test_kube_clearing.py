"""Pods are gone when their containers are, whatever a slow kubelet makes of it; kubectl is a script."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.environments.kube.clearing import clear_pods
from harness.environments.kube.kubectl import Kubectl
from harness.errors import HarnessError
from tests.environments.fake_programs import FakeKubectl

RUNS: dict[str, Any] = {"running": {}}
ENDED: dict[str, Any] = {"terminated": {"exitCode": 137}}
STARTS: dict[str, Any] = {"waiting": {"reason": "ContainerCreating"}}
LOST: dict[str, Any] = {**STARTS, "lastState": {"terminated": {"exitCode": 137, "reason": "ContainerStatusUnknown"}}}
FORCED = ("--ignore-not-found", "--grace-period=0", "--force", "--wait=false")


def stated(state: dict[str, Any]) -> dict[str, Any]:
    """A container's status; a state may bring the one before with it."""
    return {"state": {key: state[key] for key in state if key != "lastState"}, "lastState": state.get("lastState", {})}


def pod(
    name: str, *states: dict[str, Any], init: tuple[dict[str, Any], ...] = (), going: bool = True
) -> dict[str, Any]:
    metadata = {"name": name, **({"deletionTimestamp": "2026-01-01T00:00:00Z"} if going else {})}
    status = {
        "containerStatuses": [stated(state) for state in states],
        "initContainerStatuses": [stated(state) for state in init],
    }
    return {"metadata": metadata, "status": status}


@pytest.fixture
def kubectl(programs: Path, tmp_path: Path) -> FakeKubectl:
    return FakeKubectl(programs, tmp_path / "kubeconfig", "a-cluster")


@pytest.fixture
def admin(tmp_path: Path) -> Kubectl:
    return Kubectl(tmp_path / "kubeconfig", "a-cluster")


def asked_to_go(kubectl: FakeKubectl, *namespaces: str) -> None:
    for namespace in namespaces:
        makers = "deployments,replicasets,statefulsets,daemonsets,jobs"
        here, chosen = ("-n", namespace, "delete"), ("-l", "a=b", "--ignore-not-found")
        kubectl.asked(*here, makers, *chosen, "--cascade=orphan", "--wait=false")
        kubectl.asked(*here, "pods", *chosen, "--grace-period=1", "--wait=false")


def listed(kubectl: FakeKubectl, namespace: str, *pods: dict[str, Any]) -> None:
    kubectl.asked("get", "pods", "-n", namespace, "-l", "a=b", "-o", "json", out=json.dumps({"items": pods}))


def test_a_pod_whose_containers_have_ended_is_struck_off(kubectl: FakeKubectl, admin: Kubectl) -> None:
    asked_to_go(kubectl, "x", "y")
    listed(kubectl, "x", pod("over", ENDED, LOST, init=(ENDED,)), pod("runs", ENDED, RUNS), pod("starts", STARTS))
    kubectl.asked("-n", "x", "delete", "pods", "over", *FORCED)
    listed(kubectl, "y")
    listed(kubectl, "x")
    clear_pods(admin, ["x", "y"], "a=b", cascade="orphan")


@pytest.mark.parametrize(
    "waited_for",
    [
        pod("p", RUNS),
        pod("p", STARTS),
        pod("p", ENDED, init=(RUNS,)),
        pod("p"),
        pod("p", ENDED, going=False),
        {"metadata": {"name": "p", "deletionTimestamp": "2026-01-01T00:00:00Z"}},
    ],
)
def test_one_that_may_have_a_process_is_waited_for_and_told(
    kubectl: FakeKubectl, admin: Kubectl, waited_for: dict[str, Any]
) -> None:
    asked_to_go(kubectl, "x")
    listed(kubectl, "x", waited_for)
    with pytest.raises(HarnessError, match="pods that do not end: x/p"):
        clear_pods(admin, ["x"], "a=b", cascade="orphan", timeout_s=0)
