"""Faults that only a cluster has, held against one in memory."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from harness.errors import HarnessError
from harness.faults.catalogue import FAULTS
from harness.faults.injector import Injector
from harness.faults.rollout import UNPULLABLE
from tests.faults.clusters import ClusterLike, small_cluster
from tests.faults.worlds import SmallPod, SmallWorld

Steps = list[tuple[str, Mapping[str, Any]]]
# Each fault that needs a cluster, with parameters that the small one can be given.
PARAMS: dict[str, dict[str, Any]] = {
    "kubelet-stop": {"workload": "app", "namespace": None, "seed": 1},
    "pod-evict": {"workload": "app", "namespace": None, "seed": 1},
    "node-drain": {"workload": "app", "namespace": None},
    "network-cut": {"workload": "app", "to_workload": "other", "namespace": None},
    "network-slow": {"workload": "app", "to_workload": "other", "delay_ms": 200, "namespace": None},
    "memory-exhaust": {"workload": "app", "namespace": None, "seed": 1},
    "image-break": {"workload": "app", "namespace": None},
}
UNDONE = sorted(set(PARAMS) - {"memory-exhaust", "pod-evict"})


@pytest.fixture
def world(tmp_path: Path) -> ClusterLike:
    world = small_cluster(tmp_path)
    world.pids = {"app-0": [os.getpid()], "app-1": [os.getpid()]}
    return world


@pytest.fixture
def steps() -> Steps:
    return []


@pytest.fixture
def injector(world: ClusterLike, tmp_path: Path, steps: Steps) -> Injector:
    return injector_of(world, tmp_path, steps)


def injector_of(world: SmallWorld, root: Path, steps: Steps) -> Injector:
    return Injector(world, root, lambda kind, name, data: steps.append((data["status"], data)), effect_timeout_s=0.1)


def statuses(steps: Steps) -> list[str]:
    return [status for status, _ in steps]


def test_all_faults_that_need_a_cluster_are_tried_here() -> None:
    assert {name for name, kind in FAULTS.items() if kind.needs_cluster} == set(PARAMS)


@pytest.mark.parametrize("fault", sorted(PARAMS))
def test_without_a_cluster_each_says_so_and_nothing_is_touched(fault: str, tmp_path: Path, steps: Steps) -> None:
    world = SmallWorld(tmp_path, {"app": [SmallPod("app-0")], "other": [SmallPod("other-0")]})
    with pytest.raises(HarnessError, match=r"needs a cluster: .*--environment kind"):
        injector_of(world, tmp_path, steps).inject(fault, **PARAMS[fault])
    assert steps == []


@pytest.mark.parametrize("fault", sorted(PARAMS))
def test_each_is_seen_in(fault: str, injector: Injector, steps: Steps) -> None:
    injector.inject(fault, **PARAMS[fault])
    assert statuses(steps) == ["injecting", "injected", "effect"]
    assert steps[-1][1]["observed"]
    assert steps[1][1]["target"]


@pytest.mark.parametrize("fault", UNDONE)
def test_each_is_undone_by_another_process_and_seen_out(
    fault: str, injector: Injector, world: ClusterLike, tmp_path: Path, steps: Steps
) -> None:
    injector.inject(fault, **PARAMS[fault])
    assert injector_of(world, tmp_path, steps).heal() == []
    assert statuses(steps)[-2:] == ["undone", "cleared"]


@pytest.mark.parametrize("fault", UNDONE)
def test_undoing_again_does_nothing(fault: str, world: ClusterLike) -> None:
    kind = FAULTS[fault]
    assert kind.undo is not None
    assert kind.cleared is not None
    record = kind.plan(world, **PARAMS[fault])
    kind.undo(world, record)  # what was never put in
    kind.inject(world, record)
    kind.undo(world, record)
    kind.undo(world, record)
    assert kind.cleared(world, record)


@pytest.mark.parametrize("fault", ["network-cut", "network-slow"])
def test_a_pod_that_was_replaced_meanwhile_is_no_failure(
    fault: str, injector: Injector, world: ClusterLike, steps: Steps
) -> None:
    injector.inject(fault, **PARAMS[fault])
    world.workloads["app"] = [SmallPod("app-7")]
    if fault == "network-cut":  # as when the rules were put in just when the pod came
        world.cluster.rules["app-7"] = {("other-0", "harness-cut")}
    assert injector.heal() == []
    assert statuses(steps)[-1] == "cleared"
    assert not any(world.cluster.rules.get(pod) for pod in ("app-7", "other-0"))


@pytest.mark.parametrize(
    "fault", ["kubelet-stop", "pod-evict", "node-drain", "network-cut", "network-slow", "image-break"]
)
def test_what_does_nothing_is_no_effect(fault: str, injector: Injector, world: ClusterLike, steps: Steps) -> None:
    world.cluster.numb = True
    injector.inject(fault, **PARAMS[fault])
    assert statuses(steps)[-1] == "no-effect"


def test_an_evicted_pod_that_still_runs_is_not_gone(world: ClusterLike) -> None:
    record = FAULTS["pod-evict"].plan(world, **PARAMS["pod-evict"])
    world.workloads["app"] = []
    world.cluster.lingering = [record["pod"]]
    assert FAULTS["pod-evict"].effect(world, record) is None
    world.cluster.lingering = []
    assert FAULTS["pod-evict"].effect(world, record) == f"the API has no pod {record['pod']} any more"


def test_another_pod_of_the_evicted_ones_name_shows_that_it_is_gone(world: ClusterLike) -> None:
    record = FAULTS["pod-evict"].plan(world, **PARAMS["pod-evict"])
    world.cluster.uids[record["pod"]] = "another"
    assert FAULTS["pod-evict"].effect(world, record) == f"pod {record['pod']} is another by now"


def test_a_pod_that_is_about_to_end_is_not_evicted(world: ClusterLike) -> None:
    pods, world.workloads["app"] = world.workloads["app"], [SmallPod("app-9")]
    world.cluster.uids["app-9"] = None
    assert pods
    with pytest.raises(HarnessError, match="app-9 is about to end"):
        FAULTS["pod-evict"].plan(world, **PARAMS["pod-evict"])


def test_a_container_that_ended_for_another_reason_is_no_effect(
    injector: Injector, world: ClusterLike, steps: Steps
) -> None:
    world.cluster.reason = "Error"
    injector.inject("memory-exhaust", **PARAMS["memory-exhaust"])
    assert statuses(steps)[-1] == "no-effect"


def test_an_earlier_end_for_lack_of_memory_is_no_effect(world: ClusterLike) -> None:
    world.cluster.ends = {"app-0": ("container-1", "OOMKilled"), "app-1": ("container-1", "OOMKilled")}
    record = FAULTS["memory-exhaust"].plan(world, **PARAMS["memory-exhaust"])
    assert FAULTS["memory-exhaust"].effect(world, record) is None


def test_a_kernel_that_cannot_delay_packets_is_told_before_anything_is_touched(
    injector: Injector, world: ClusterLike, steps: Steps
) -> None:
    world.cluster.can_delay = False
    with pytest.raises(HarnessError, match="cannot delay packets"):
        injector.inject("network-slow", **PARAMS["network-slow"])
    assert (steps, world.cluster.delays) == ([], {})


def test_a_place_that_is_not_reached_as_it_is_cannot_be_cut_off(injector: Injector, world: ClusterLike) -> None:
    world.cluster.rules["other-0"] = {("app-1", "somebody-else")}
    with pytest.raises(HarnessError, match="app-1 does not reach other-0:80"):
        injector.inject("network-cut", **PARAMS["network-cut"])


def test_somebody_elses_rules_stay(injector: Injector, world: ClusterLike) -> None:
    injector.inject("network-cut", **PARAMS["network-cut"])
    world.cluster.rules["other-0"].add(("far", "somebody-else"))
    injector.heal()
    assert world.cluster.rules["other-0"] == {("far", "somebody-else")}


@pytest.mark.parametrize(
    ("fault", "spoil", "says"),
    [
        ("kubelet-stop", {"status": "Unknown"}, "node n1 is not ready"),
        ("node-drain", {"schedulable": False}, "node n1 is cordoned already"),
        ("image-break", {"unfinished": "1 of 2 pods are updated"}, "is being rolled out already: 1 of 2"),
        ("network-slow", {"rules": {"app-0": {("far", "harness-slow")}}}, "delayed already"),
    ],
)
def test_what_is_broken_already_is_refused(
    fault: str, spoil: dict[str, Any], says: str, injector: Injector, world: ClusterLike, steps: Steps
) -> None:
    for name, value in spoil.items():
        setattr(world.cluster, name, value)
    with pytest.raises(HarnessError, match=says):
        injector.inject(fault, **PARAMS[fault])
    assert steps == []


@pytest.mark.parametrize("fault", sorted(set(PARAMS) - {"image-break"}))  # where the cluster itself finds the workload
def test_a_workload_without_pods_is_refused(fault: str, injector: Injector, world: ClusterLike) -> None:
    world.workloads["app"] = []
    with pytest.raises(HarnessError, match="no pod of workload 'app'"):
        injector.inject(fault, **PARAMS[fault])


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
def test_a_pod_that_waits_for_a_broken_image_is_replaced(
    kind: str, injector: Injector, world: ClusterLike, steps: Steps
) -> None:
    world.cluster.kind = kind
    injector.inject("image-break", **PARAMS["image-break"])
    assert world.cluster.waits
    assert injector.heal() == []
    assert (world.cluster.waits, statuses(steps)[-1]) == ({}, "cleared")


def test_a_broken_image_is_restored_with_its_policy(injector: Injector, world: ClusterLike) -> None:
    world.cluster.template = {"image": "app:1", "policy": "Never"}
    injector.inject("image-break", **PARAMS["image-break"])
    assert world.cluster.template == {"image": UNPULLABLE, "policy": "IfNotPresent"}
    injector.heal()
    assert world.cluster.template == {"image": "app:1", "policy": "Never"}


def test_a_rollout_that_is_not_complete_is_not_cleared(injector: Injector, world: ClusterLike, steps: Steps) -> None:
    injector.inject("image-break", **PARAMS["image-break"])
    world.cluster.unfinished = "1 old pods are still there"
    injector.heal()
    assert statuses(steps)[-1] == "not-cleared"


def test_a_node_that_stays_silent_is_not_cleared(injector: Injector, world: ClusterLike, steps: Steps) -> None:
    injector.inject("kubelet-stop", **PARAMS["kubelet-stop"])
    world.cluster.numb = True
    injector.heal()
    assert world.cluster.orders == ["stop n1", "start n1"]
    assert statuses(steps)[-1] == "not-cleared"


def test_a_pod_that_ends_slowly_is_not_drained_yet(injector: Injector, world: ClusterLike, steps: Steps) -> None:
    world.cluster.lingering = ["app-1"]
    injector.inject("node-drain", **PARAMS["node-drain"])
    assert statuses(steps)[-1] == "no-effect"


def test_a_drained_workload_is_back_only_with_all_its_pods(
    injector: Injector, world: ClusterLike, steps: Steps
) -> None:
    injector.inject("node-drain", **PARAMS["node-drain"])
    world.workloads["app"] = world.workloads["app"][:1]
    injector.heal()
    assert statuses(steps)[-1] == "not-cleared"
