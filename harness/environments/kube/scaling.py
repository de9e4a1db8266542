"""Workloads made smaller by one pod, and given back their size."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from harness.clock import DeadlineExceeded, wait_until
from harness.environments.kube.kubectl import Kubectl
from harness.environments.kube.pods import ClusterPod
from harness.environments.kube.vocabulary import REPLICAS
from harness.errors import HarnessError

# Kinds whose size somebody may set.
SCALED = {"Deployment": "deployment", "StatefulSet": "statefulset"}
# The lowest one goes first, of pods that are ready alike. Source: Kubernetes, ReplicaSet, "Pod deletion cost".
_COST = "controller.kubernetes.io/pod-deletion-cost"
_LOWEST = "-2147483647"
_COUNTS_COSTS = (1, 22)
_UNREADY_S = 10.0


def counts_costs(versions: str) -> bool:
    """Whether a cluster, of which these are the kubelets' versions, ends the pod with the lowest cost first.

    Kubelets are never newer than what decides that.
    """
    found = [(int(major), int(minor)) for major, minor in re.findall(r"\bv(\d+)\.(\d+)", versions)]
    return bool(found) and min(found) >= _COUNTS_COSTS


def put_first(
    kubectl: Kubectl,
    pod: ClusterPod,
    *,
    others: Sequence[ClusterPod],
    costs_count: bool,
    end: Callable[[], None],
    is_ready: Callable[[], bool],
) -> None:
    """Of its Deployment's pods this one is the next to go: by its cost, or, where costs do not count, since it is not
    ready while what ``end`` ended is started again.

    Raises HarnessError where one of the others would go before it.
    """
    unready = [each.name for each in others if not each.ready]
    if unready:
        raise HarnessError(
            f"pod {pod.name} cannot be kept down while {', '.join(unready)} is not ready: the ReplicaSet would end that"
            " one; wait until all are ready"
        )
    kubectl.patch("pod", pod.name, pod.namespace, {"metadata": {"annotations": {_COST: _LOWEST}}})
    if others and not costs_count:
        end()
        what = f"the API has pod {pod.name} not ready once its process is killed"
        try:
            wait_until(lambda: not is_ready(), what=what, timeout_s=_UNREADY_S)
        except DeadlineExceeded as error:
            raise HarnessError(f"{error}: its ReplicaSet might end another pod") from error


def forget_cost(kubectl: Kubectl, pod: ClusterPod) -> None:
    """The pod may go like any other."""
    kubectl.patch("pod", pod.name, pod.namespace, {"metadata": {"annotations": {_COST: None}}})


def take_one(kubectl: Kubectl, pod: ClusterPod) -> None:
    """The pod's workload has one pod less from here on."""
    kind = SCALED[pod.owner_kind]
    workload = _read(kubectl, kind, pod.workload, pod.namespace)
    replicas = int(workload["spec"]["replicas"])
    # The size it had before the first of its pods was taken.
    before = (workload["metadata"].get("annotations") or {}).get(REPLICAS, str(replicas))
    change = {"metadata": {"annotations": {REPLICAS: before}}, "spec": {"replicas": max(0, replicas - 1)}}
    kubectl.patch(kind, pod.workload, pod.namespace, change)


def give_back(kubectl: Kubectl, names: Iterable[str], namespace: str) -> None:
    """The first workload of these names of which a pod was taken has its size again. There need be none."""
    for name in names:
        for kind in SCALED.values():
            try:
                annotations = _read(kubectl, kind, name, namespace)["metadata"].get("annotations") or {}
            except HarnessError as error:
                if "NotFound" in str(error):  # of several names that may be it, one is
                    continue
                raise
            if REPLICAS in annotations:
                size = {"replicas": int(annotations[REPLICAS])}
                kubectl.patch(kind, name, namespace, {"metadata": {"annotations": {REPLICAS: None}}, "spec": size})
                return


def _read(kubectl: Kubectl, kind: str, name: str, namespace: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = kubectl.get("-n", namespace, kind, name)
    return found
