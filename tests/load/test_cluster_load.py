from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.errors import HarnessError
from harness.load.cluster_load import load_objects, worker_names
from harness.load.locust_run import LoadPlan

PLAN = LoadPlan(base_url="http://model.serving.svc:8080", rate=20, duration_s=90.5, seed=7, window_s=0.25)
LABELS = {"app.kubernetes.io/part-of": "harness", "run": "r1"}


def objects(plan: LoadPlan = PLAN, *, workers: int = 2, allow_host: str = "model.serving.svc") -> list[dict[str, Any]]:
    return load_objects(
        plan, namespace="load", image="workloads:1", workers=workers, labels=LABELS, allow_host=allow_host
    )


def by_name(kind: str, **kept: Any) -> dict[str, dict[str, Any]]:
    return {each["metadata"]["name"]: each for each in objects(**kept) if each["kind"] == kind}


def container(pod: dict[str, Any]) -> dict[str, Any]:
    (only,) = pod["spec"]["containers"]
    found: dict[str, Any] = only
    return found


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_there_is_one_master_its_service_and_as_many_workers_as_asked_for(workers: int) -> None:
    pods = by_name("Pod", workers=workers)
    assert list(pods) == ["load-master", *worker_names(workers)]
    assert len(worker_names(workers)) == workers
    assert list(by_name("Service", workers=workers)) == ["load-master"]
    assert f"--expect-workers={workers}" in container(pods["load-master"])["command"]


def test_the_service_leads_to_the_master_alone_at_the_port_both_sides_use() -> None:
    pods, service = by_name("Pod"), by_name("Service")["load-master"]
    selector = service["spec"]["selector"]
    chosen = [name for name, pod in pods.items() if selector.items() <= pod["metadata"]["labels"].items()]
    assert chosen == ["load-master"]
    (port,) = service["spec"]["ports"]
    assert f"--master-bind-port={port['targetPort']}" in container(pods["load-master"])["command"]
    worker = container(pods["load-worker-0"])["command"]
    assert {"--worker", "--master-host=load-master", f"--master-port={port['port']}"} <= set(worker)


def test_the_master_gets_the_plan_and_the_workers_only_where_to_write() -> None:
    pods = by_name("Pod")
    master, worker = (container(pods[name])["command"] for name in ("load-master", "load-worker-1"))
    assert master[:3] == worker[:3] == ["locust", "-f", "/opt/harness/loadtests/inference.py"]
    plan = {"--host=http://model.serving.svc:8080", "--rate=20", "--seed=7", "--run-time=91", "--window=0.25"}
    assert plan | {"--headless", "--master"} <= set(master)
    assert not any(option.startswith(("--window-file", "--worker")) for option in master)
    assert "--window-file=-" in worker
    assert "--loglevel=ERROR" in worker, "what is logged would stand between the windows"
    assert not plan & set(worker)


@pytest.mark.parametrize("name", ["load-master", "load-worker-0", "load-worker-1"])
def test_a_pod_has_no_more_rights_than_it_needs_and_an_end(name: str) -> None:
    pod = by_name("Pod")[name]
    spec, only = pod["spec"], container(pod)
    assert pod["metadata"]["namespace"] == "load"
    assert LABELS.items() <= pod["metadata"]["labels"].items()
    component = "load-master" if name == "load-master" else "load-worker"
    assert pod["metadata"]["labels"]["app.kubernetes.io/component"] == component
    assert spec["securityContext"] == {"runAsNonRoot": True, "runAsUser": 65534, "runAsGroup": 65534}
    assert only["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    assert spec["automountServiceAccountToken"] is False
    assert spec["restartPolicy"] == "Never", "a worker that came again would have no share"
    assert spec["activeDeadlineSeconds"] > PLAN.duration_s
    assert spec["terminationGracePeriodSeconds"] <= 5
    assert only["image"] == "workloads:1"
    assert only["env"] == [{"name": "HARNESS_LOAD_ALLOW", "value": "model.serving.svc"}]
    assert set(only["resources"]) == {"requests"}


def test_the_pods_share_nothing_that_a_caller_could_change_in_all_at_once() -> None:
    pods = by_name("Pod")
    pods["load-worker-0"]["metadata"]["labels"]["run"] = "other"
    container(pods["load-worker-0"])["command"].append("--other")
    container(pods["load-worker-0"])["env"].clear()
    assert pods["load-worker-1"] == by_name("Pod")["load-worker-1"]
    assert LABELS["run"] == "r1"


def test_a_host_that_is_not_the_one_named_on_purpose_is_refused() -> None:
    with pytest.raises(HarnessError, match=r"http://model.serving.svc:8080 .* 'other' is the host that may be"):
        objects(allow_host="other")
    objects(replace(PLAN, base_url="http://Model:80"), allow_host="MODEL")


def test_a_load_without_workers_is_refused() -> None:
    with pytest.raises(HarnessError, match="got 0 workers"):
        objects(workers=0)
