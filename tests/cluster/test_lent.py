"""A cluster that is somebody else's: the harness acts in what it was lent, with no more rights than it needs."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.conftest import HALF_SPEED, ClusterRunner

pytestmark = pytest.mark.cluster

Objects = set[tuple[str, str, str]]
NAMESPACES = ("monitoring", "model-serving", "training")


def lent(runner: ClusterRunner, namespaces: tuple[str, ...] = NAMESPACES) -> tuple[str, ...]:
    named = [word for name in namespaces for word in ("--namespace", name)]
    return "--environment", "kube", "--context", f"kind-{runner.cluster}", *named


@pytest.fixture
def namespaces(runner: ClusterRunner, cluster_before: Objects) -> Iterator[None]:
    """The namespaces, there and lent; gone afterwards, for the tests whose cluster has none of them."""
    for name in NAMESPACES:
        runner.kubectl("create", "namespace", name)
        runner.kubectl("label", "namespace", name, "harness/allowed=true")
    yield
    runner.kubectl("delete", "namespace", *NAMESPACES)


@pytest.mark.usefixtures("namespaces")
def test_it_passes_in_the_namespaces_it_was_lent_and_leaves_them_as_they_were(runner: ClusterRunner) -> None:
    before = runner.objects()
    experiments = ("model-volume-full.yaml", "learning-rate-too-high.yaml")
    outcome = runner.certify(*lent(runner), *HALF_SPEED, experiments=experiments)
    short = [each for each in outcome.result["results"] if each["verdict"] != "PASS"]
    assert (outcome.code, short) == (0, []), outcome.out + outcome.err
    assert any("RoleBinding in each namespace" in note for note in outcome.result["not_exercised"])
    assert runner.objects() == before


@pytest.mark.usefixtures("namespaces")
def test_a_namespace_without_the_label_is_refused_and_nothing_is_touched(runner: ClusterRunner) -> None:
    runner.kubectl("label", "namespace", "training", "harness/allowed-")
    before = runner.objects()
    outcome = runner.certify(*lent(runner), experiments=("gpu-warm.yaml",))
    assert outcome.code == 3
    assert "training is not lent to the harness" in outcome.err
    assert runner.objects() == before


@pytest.mark.usefixtures("namespaces")
def test_a_namespace_of_the_stack_that_was_not_named_is_refused(runner: ClusterRunner) -> None:
    outcome = runner.certify(*lent(runner, ("monitoring",)), experiments=("gpu-warm.yaml",))
    assert outcome.code == 3
    assert "model-serving" in outcome.err
    assert "training" in outcome.err


def test_without_namespaces_or_context_it_is_refused_before_anything(runner: ClusterRunner) -> None:
    outcome = runner.certify("--environment", "kube", experiments=("gpu-warm.yaml",))
    assert outcome.code == 3
    assert "--context" in outcome.err
    assert "--namespace" in outcome.err
    assert not outcome.run_dir.exists()


def test_a_dry_run_names_what_it_would_touch_and_touches_nothing(
    runner: ClusterRunner, cluster_before: Objects
) -> None:
    outcome = runner.certify(*runner.where(), "--dry-run", experiments=("gpu-warm.yaml",))
    assert outcome.code == 0, outcome.err
    assert "make StatefulSet prometheus-model-monitoring in monitoring" in outcome.out
    assert f"the kind cluster {runner.cluster}" in outcome.out
    assert runner.objects() == cluster_before
    assert not outcome.run_dir.exists()


def test_the_harness_has_the_rights_its_faults_need_and_no_others(
    runner: ClusterRunner, cluster_before: Objects
) -> None:
    up = runner.run("up", *runner.where())
    assert up.code == 0, up.err
    (account,) = (runner.root / "cwd" / "reports").glob("*/harness.kubeconfig")
    assert account.stat().st_mode & 0o077 == 0
    assert allowed(account, "get", "pods", "-n", "model-serving")
    for refused in (
        ("get", "secrets", "-n", "monitoring"),
        ("get", "secret", "-n", "harness", "harness-token"),
        ("get", "pods", "-n", "kube-system"),
        ("delete", "deployment", "inference", "-n", "model-serving"),
        ("create", "configmap", "mine", "-n", "monitoring"),
        ("exec", "-n", "monitoring", "prometheus-model-monitoring-0", "--", "true"),
        ("delete", "namespace", "monitoring"),
        ("delete", "node", f"{runner.cluster}-worker"),
    ):
        assert not allowed(account, *refused), refused
    down = runner.run("down")
    assert down.code == 0, down.err
    assert runner.objects() == cluster_before
    assert not account.exists()


def allowed(kubeconfig: Path, *args: str) -> bool:
    """Whether the account may do it, by doing it; a refusal names the account."""
    done = subprocess.run(
        ["kubectl", "--kubeconfig", str(kubeconfig), *args], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0 or "harness:harness" in done.stderr, done.stderr
    return done.returncode == 0
