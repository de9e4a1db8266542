"""What manifests ask of the nodes and rules of their own cluster, which one made for a run does not have."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from harness.environments.kube.vocabulary import Manifest

_WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "Job", "Pod")
# A namespace's own rule on what its pods may be. Each pod has a directory of its node, the simulated GPU's.
_ENFORCED = "pod-security.kubernetes.io/enforce"
# All that makes a scheduler or a node refuse a pod where something else than Kubernetes itself has to be there.
_OF_ITS_NODES = ("nodeName", "runtimeClassName", "overhead", "schedulerName")
# A label that every node has, whoever made it.
_EVERY_NODES = ("kubernetes.io/os", "linux")
_EVERY_CLUSTERS_CLASSES = frozenset({"system-cluster-critical", "system-node-critical"})
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_AFFINITIES = ("nodeAffinity", "podAffinity", "podAntiAffinity")
# What a control plane is tainted with, now and before Kubernetes 1.24.
_CONTROL_PLANE = ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master")

_Say = Callable[[str, str], None]


def settle(objects: Iterable[dict[str, Any]], notes: list[str]) -> None:
    """Makes the objects such that nodes that nobody labelled, one of which takes pods, can run them all.

    What is preferred stays, what is required goes: one that cannot be met would keep a pod from ever starting. All of
    it is named in ``notes``.
    """
    every = list(objects)
    classes = {each["metadata"]["name"] for each in every if each["kind"] == "PriorityClass"} | _EVERY_CLUSTERS_CLASSES
    for each in every:
        say = _sayer(f"{each['kind']}/{each['metadata']['name']}", notes)
        if each["kind"] == "Namespace":
            _unlock(each, say)
        elif each["kind"] in _WORKLOADS:
            _settle_pod(_pod_spec(each), classes, say)


def reaches_control_plane(documents: Sequence[Manifest]) -> bool:
    """Whether any of the objects runs pods that a control plane's node takes too."""
    pods = [_pod_spec(each) for each in documents if each["kind"] in _WORKLOADS]
    return any(_tolerates_control_plane(toleration) for pod in pods for toleration in pod.get("tolerations", []))


def _sayer(title: str, notes: list[str]) -> _Say:
    return lambda what, why: notes.append(f"{title}: {what} is left out, {why}")


def _pod_spec(manifest: Manifest) -> Any:
    return manifest["spec"] if manifest["kind"] == "Pod" else manifest["spec"]["template"]["spec"]


def _unlock(namespace: dict[str, Any], say: _Say) -> None:
    labels = namespace["metadata"].get("labels") or {}
    for label in [label for label in labels if label.startswith(_ENFORCED)]:
        say(f"{label}={labels.pop(label)}", "it would forbid the directory in which pods share the simulated GPU")


def _settle_pod(spec: dict[str, Any], classes: Collection[str], say: _Say) -> None:
    for key in _OF_ITS_NODES:
        if spec.pop(key, None) is not None:
            say(key, "only its own cluster has what it names")
    if spec.get("priorityClassName", "") not in {"", *classes}:
        say(f"priorityClassName {spec.pop('priorityClassName')}", "the stack does not define it")
    _settle_selector(spec, say)
    for name in _AFFINITIES:
        if (spec.get("affinity") or {}).get(name, {}).pop(_REQUIRED, None):
            say(f"what {name} requires", "one node has to take all pods")
    for constraint in spec.get("topologySpreadConstraints", []):
        if constraint.get("whenUnsatisfiable", "DoNotSchedule") == "DoNotSchedule":
            constraint["whenUnsatisfiable"] = "ScheduleAnyway"
            say(f"the required spread over {constraint.get('topologyKey')}", "one node has to take all pods")


def _settle_selector(spec: dict[str, Any], say: _Say) -> None:
    selector = spec.get("nodeSelector") or {}
    kept = {key: value for key, value in selector.items() if (key, value) == _EVERY_NODES}
    lost = ", ".join(f"{key}={value}" for key, value in selector.items() if key not in kept)
    if lost:
        spec["nodeSelector"] = kept
        say(f"nodeSelector {lost}", "no node has such a label")


def _tolerates_control_plane(toleration: Manifest) -> bool:
    """Whether it is one for such a taint, which has no value and keeps pods from being scheduled there."""
    exists = toleration.get("operator", "Equal") == "Exists"
    key = toleration.get("key", "")
    named = (exists and not key) or (key in _CONTROL_PLANE and (exists or not toleration.get("value")))
    return named and toleration.get("effect", "") in ("", "NoSchedule")
