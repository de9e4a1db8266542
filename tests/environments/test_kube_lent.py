"""What others have in a namespace they lent is theirs: it is neither taken over nor disturbed; kubectl is a script."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.environments.kube.cluster import Cluster
from harness.environments.kube.environment import ClusterEnvironment
from harness.environments.kube.kubectl import Kubectl
from harness.environments.kube.lent_cluster import ContextSource, require_free
from harness.environments.kube.source import ClusterChoice
from harness.environments.kube.vocabulary import MANAGED
from harness.errors import InputError
from harness.stack import Stack, load_stack
from tests.environments.fake_api import FakeApi
from tests.environments.fake_programs import FakeKubectl
from tests.environments.test_kube_pods import raw_pod
from tests.environments.test_kube_state import state

LOOKS = ("get", "-f", "-", "--ignore-not-found", "-o", "json")
PROMETHEUS = "{apiVersion: monitoring.coreos.com/v1, kind: Prometheus, metadata: {name: p, namespace: mon}, spec: {}}"


@pytest.fixture
def kubectl(programs: Path, tmp_path: Path) -> FakeKubectl:
    return FakeKubectl(programs, tmp_path / "run-1" / "cluster.kubeconfig", "theirs")


@pytest.fixture
def admin(tmp_path: Path) -> Kubectl:
    return Kubectl(tmp_path / "run-1" / "cluster.kubeconfig", "theirs")


def thing(kind: str, name: str, run: str | None = None, **further: Any) -> dict[str, Any]:
    labels = {MANAGED: run} if run else {"team": "a"}
    return {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "mon", "labels": labels},
        **further,
    }


def there(*objects: dict[str, Any]) -> str:
    return json.dumps({"kind": "List", "items": objects}) if objects else ""


def test_a_namespace_with_none_of_the_names_is_free(kubectl: FakeKubectl, admin: Kubectl) -> None:
    kubectl.asked(*LOOKS, timeout_s=120)
    require_free(admin, [thing("Service", "s")], "run-1")


def test_what_this_run_made_is_its_own(kubectl: FakeKubectl, admin: Kubectl) -> None:
    kubectl.asked(*LOOKS, timeout_s=120, out=there(thing("Service", "s", "run-1")))
    require_free(admin, [thing("Service", "s")], "run-1")


def test_all_that_is_anothers_is_named_at_once(kubectl: FakeKubectl, admin: Kubectl) -> None:
    found = there(thing("Service", "s"), thing("ConfigMap", "c", "run-0"), thing("Secret", "mine", "run-1"))
    kubectl.asked(*LOOKS, timeout_s=120, out=found)
    with pytest.raises(InputError) as caught:
        require_free(admin, [thing("Service", "s"), thing("ConfigMap", "c"), thing("Secret", "mine")], "run-1")
    first, second = map(str, caught.value.mistakes)
    assert first.startswith("--namespace: mon: Service s is there already and is not the harness's")
    assert second.startswith("--namespace: mon: ConfigMap c is there already, of the run run-0: `harness down`")


@pytest.mark.parametrize(("size", "count"), [({}, 1), ({"replicas": 2}, 2), ({"replicas": 0}, 0)])
def test_claims_that_pods_would_take_up_are_looked_for_too(
    kubectl: FakeKubectl, admin: Kubectl, size: dict[str, int], count: int
) -> None:
    templates = [{"metadata": {"name": "data"}}]
    kubectl.asked(*LOOKS, timeout_s=120, out=there(thing("PersistentVolumeClaim", "data-db-0")))
    with pytest.raises(InputError, match="PersistentVolumeClaim data-db-0"):
        require_free(admin, [thing("StatefulSet", "db", spec={**size, "volumeClaimTemplates": templates})], "run-1")
    asked = [each["metadata"]["name"] for each in json.loads(kubectl.given())["items"]]
    assert asked == ["db", *(f"data-db-{number}" for number in range(count))]


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    (tmp_path / "stack").mkdir()
    (tmp_path / "stack" / "p.yaml").write_text(PROMETHEUS, encoding="utf-8")
    return load_stack(tmp_path / "stack")


def test_a_stack_that_runs_there_already_is_left_alone(
    kubectl: FakeKubectl, programs: Path, stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_dir = tmp_path / "run-1"
    run_dir.mkdir()
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "own"))
    (tmp_path / "images.yaml").write_text("images: {}\n", encoding="utf-8")
    source = ContextSource(ClusterChoice(context="theirs", namespaces=("mon",)), run_dir)
    images = str(tmp_path / "images.yaml")
    environment = ClusterEnvironment(stack, run_dir, source, images=images, time_scale=60.0, seed=1)
    lent = {"items": [{"metadata": {"name": "mon", "labels": {"harness/allowed": "true"}}}]}
    own = (f"--kubeconfig={tmp_path / 'own'}", "--context=theirs", "--request-timeout", "60s")
    kubectl.expects(*own, "config", "view", "--minify", "--flatten", "-o", "yaml", out="a: kubeconfig")
    kubectl.asked("get", "namespaces", "-o", "json", out=json.dumps(lent))
    kubectl.asked("get", "nodes", "-o", "json", err="forbidden", code=1)
    kubectl.asked("api-resources", "--api-group=monitoring.coreos.com", "-o", "name")
    kubectl.asked("get", "storageclasses", "-o", "json", out='{"items": []}')
    kubectl.asked(*LOOKS, timeout_s=120, out=there(thing("StatefulSet", "prometheus-p"), thing("Service", "mine")))
    with pytest.raises(InputError) as caught:  # nothing else is asked of kubectl, and so nothing is made
        environment.up(timeout_s=1)
    assert [mistake.problem.partition(" is there")[0] for mistake in caught.value.mistakes] == [
        "StatefulSet prometheus-p",
        "Service mine",
    ]
    asked = [f"{each['kind']}/{each['metadata']['name']}" for each in json.loads(kubectl.given(6))["items"]]
    assert {"StatefulSet/prometheus-p", "Service/prometheus-operated", "ServiceAccount/harness"} <= set(asked)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[Cluster, FakeApi]]:
    with FakeApi() as api:
        lent = replace(state(tmp_path / "run-1"), cluster="", lent=True, namespaces=("mon",), proxy=api.url)
        yield Cluster(lent), api


def test_pods_of_others_are_none_of_the_stacks(cluster: tuple[Cluster, FakeApi]) -> None:
    running, api = cluster
    own, load = {MANAGED: "run-1"}, {MANAGED: "run-1", "app.kubernetes.io/component": "load-worker"}
    labels = {"mine-0": own, "load-worker-1": load, "theirs-0": {"app": "a"}, "others-0": {MANAGED: "run-0"}}
    pods = [raw_pod(name, namespace="mon", metadata={"labels": each}) for name, each in labels.items()]
    unlabelled = raw_pod("bare", namespace="mon")
    del unlabelled["metadata"]["labels"]
    api.lists("/api/v1/namespaces/mon/pods", *pods, unlabelled)
    assert [each["pod"] for each in running.container_states()] == ["mine-0"]
    assert [pod.name for name in (*labels, "bare") for pod in running.pods(name)] == ["mine-0"]


def test_what_the_load_needs_takes_the_place_of_nothing_either(programs: Path, tmp_path: Path) -> None:
    lent = replace(state(tmp_path / "run-1"), cluster="", lent=True)
    kubectl = FakeKubectl(programs, Path(lent.account_kubeconfig), "harness")
    kubectl.asked(*LOOKS, timeout_s=120, out=there(thing("Service", "load-master")))
    with pytest.raises(InputError, match="Service load-master is there already"):
        Cluster(lent).apply([thing("Service", "load-master")])
