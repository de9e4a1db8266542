"""What of a manifest the nodes of a cluster made for a run could never meet, and which of them its pods reach."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from harness.environments.kube.placement import reaches_control_plane, settle

POD_KINDS = ("Deployment", "StatefulSet", "DaemonSet", "Job", "Pod")
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def workload(spec: dict[str, Any], kind: str = "Deployment") -> dict[str, Any]:
    pod = {"containers": [{"name": "main", "image": "i"}], **spec}
    return {"kind": kind, "metadata": {"name": "w"}, "spec": pod if kind == "Pod" else {"template": {"spec": pod}}}


def settled(text: str, *others: dict[str, Any], kind: str = "Deployment") -> tuple[dict[str, Any], list[str]]:
    """What becomes of a pod of which this is said, and the notes."""
    notes: list[str] = []
    made = workload(yaml.safe_load(f"{{{text}}}"), kind)
    settle([made, *others], notes)
    spec: dict[str, Any] = made["spec"] if kind == "Pod" else made["spec"]["template"]["spec"]
    return {key: value for key, value in spec.items() if key != "containers"}, notes


@pytest.mark.parametrize("kind", POD_KINDS)
def test_what_only_other_nodes_have_is_left_out_of_every_kind_of_pod_and_named(kind: str) -> None:
    text = "nodeName: gpu-7, runtimeClassName: nvidia, schedulerName: volcano, tolerations: [{operator: Exists}]"
    spec, notes = settled(text, kind=kind)
    assert spec == {"tolerations": [{"operator": "Exists"}]}
    assert notes == [
        f"{kind}/w: {key} is left out, only its own cluster has what it names"
        for key in ("nodeName", "runtimeClassName", "schedulerName")
    ]


def test_labels_of_nodes_are_left_out_but_for_the_one_that_all_have() -> None:
    spec, notes = settled("nodeSelector: {kubernetes.io/os: linux, pool: gpu, zone: a}")
    assert spec == {"nodeSelector": {"kubernetes.io/os": "linux"}}
    assert notes == ["Deployment/w: nodeSelector pool=gpu, zone=a is left out, no node has such a label"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nodeSelector: {kubernetes.io/os: linux}",
        "priorityClassName: system-node-critical",
        f"affinity: {{nodeAffinity: {{{PREFERRED}: [{{weight: 1}}]}}}}",
        "topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway}]",
    ],
)
def test_what_can_be_met_or_is_only_preferred_stays(text: str) -> None:
    assert settled(text) == (yaml.safe_load(f"{{{text}}}"), [])


@pytest.mark.parametrize("name", ["nodeAffinity", "podAffinity", "podAntiAffinity"])
def test_an_affinity_that_is_required_is_left_out_and_its_preference_stays(name: str) -> None:
    preferred = {PREFERRED: [{"weight": 1}]}
    required = {REQUIRED: [{"topologyKey": "kubernetes.io/hostname"}]}
    spec, notes = settled(f"affinity: {{{name}: {yaml.safe_dump({**preferred, **required}, default_flow_style=True)}}}")
    assert spec == {"affinity": {name: preferred}}
    assert notes == [f"Deployment/w: what {name} requires is left out, one node has to take all pods"]


@pytest.mark.parametrize("unless", ["whenUnsatisfiable: DoNotSchedule,", ""])
def test_pods_that_must_be_spread_only_should_be(unless: str) -> None:
    spec, notes = settled(f"topologySpreadConstraints: [{{maxSkew: 1, {unless} topologyKey: zone}}]")
    assert spec["topologySpreadConstraints"] == [
        {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}
    ]
    assert notes == ["Deployment/w: the required spread over zone is left out, one node has to take all pods"]


def test_a_priority_stays_where_the_stack_defines_it() -> None:
    defined = {"kind": "PriorityClass", "metadata": {"name": "high"}, "value": 1}
    assert settled("priorityClassName: high", defined) == ({"priorityClassName": "high"}, [])
    spec, notes = settled("priorityClassName: high")
    assert spec == {}
    assert notes == ["Deployment/w: priorityClassName high is left out, the stack does not define it"]


def test_a_namespace_that_forbids_what_every_pod_has_does_so_no_more() -> None:
    rule = "pod-security.kubernetes.io"
    labels = {f"{rule}/enforce": "restricted", f"{rule}/enforce-version": "v1.30", f"{rule}/warn": "baseline", "a": "b"}
    namespace = {"kind": "Namespace", "metadata": {"name": "n", "labels": labels}}
    notes: list[str] = []
    settle([namespace, {"kind": "Namespace", "metadata": {"name": "m"}}], notes)
    assert labels == {f"{rule}/warn": "baseline", "a": "b"}
    why = "it would forbid the directory in which pods share the simulated GPU"
    assert notes == [
        f"Namespace/n: {rule}/enforce=restricted is left out, {why}",
        f"Namespace/n: {rule}/enforce-version=v1.30 is left out, {why}",
    ]


@pytest.mark.parametrize(
    ("toleration", "reaches"),
    [
        ("{operator: Exists}", True),
        ("{operator: Exists, effect: NoSchedule}", True),
        ("{operator: Exists, effect: NoExecute}", False),
        ("{key: node-role.kubernetes.io/control-plane, operator: Exists, effect: NoSchedule}", True),
        ("{key: node-role.kubernetes.io/master, effect: NoSchedule}", True),
        ("{key: node-role.kubernetes.io/control-plane, value: x, effect: NoSchedule}", False),
        ("{key: nvidia.com/gpu, operator: Exists}", False),
    ],
)
@pytest.mark.parametrize("kind", POD_KINDS)
def test_a_control_plane_takes_pods_that_tolerate_it(kind: str, toleration: str, reaches: bool) -> None:
    tolerant = workload({"tolerations": [{"key": "other"}, yaml.safe_load(toleration)]}, kind)
    assert reaches_control_plane([workload({}), tolerant]) is reaches
    assert not reaches_control_plane([workload({}), {"kind": "ConfigMap", "metadata": {"name": "c"}}])
