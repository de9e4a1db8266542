"""Workloads made smaller by one pod, and given back their size."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from harness.clock import DeadlineExceeded, wait_until
from harness.environments.kube.kubectl import Kubectl
from harness.environments.kube.pods import ClusterPod
from harness.environments.kube.vocabulary import REPLICAS
from harness.errors import HarnessError, PodGone

# Kinds whose size somebody may set.
_SCALED = {"Deployment": "deployment", "StatefulSet": "statefulset"}
# The lowest one goes first, of pods that are ready alike. Source: Kubernetes, ReplicaSet, "Pod deletion cost".
_COST = "controller.kubernetes.io/pod-deletion-cost"
_LOWEST = "-2147483647"
_COUNTS_COSTS = (1, 22)
_UNREADY_S = 10.0
# Most pods end sooner when they are told to.
_ENDED_S = 15.0


def counts_costs(versions: str) -> bool:
    """Whether a cluster, of which these are the kubelets' versions, ends the pod with the lowest cost first.

    Kubelets are never newer than what decides that.
    """
    found = [(int(major), int(minor)) for major, minor in re.findall(r"\bv(\d+)\.(\d+)", versions)]
    return bool(found) and min(found) >= _COUNTS_COSTS


class Scaling:
    """The sizes of a cluster's workloads. ``pods`` lists the stack's, those that are ending included."""

    def __init__(self, kubectl: Kubectl, *, pods: Callable[[], Sequence[ClusterPod]], costs_count: bool) -> None:
        self._kubectl = kubectl
        self._pods = pods
        self._costs_count = costs_count

    def take(self, pod: ClusterPod, *, kill: Callable[[], None]) -> None:
        """The pod's workload has one pod less from here on, and this is the one that goes. ``kill`` ends its process.

        Raises HarnessError for a pod whose workload has no size, or would give up another one.
        """
        if pod.owner_kind not in _SCALED:
            raise HarnessError(f"pod {pod.name} belongs to a {pod.owner_kind}: it cannot be kept down by scaling")
        if pod.owner_kind == "Deployment":
            self._put_first(pod, kill)
        kind = _SCALED[pod.owner_kind]
        workload = self._read(kind, pod.workload, pod.namespace)
        replicas = int(workload["spec"]["replicas"])
        # The size it had before the first of its pods was taken.
        before = (workload["metadata"].get("annotations") or {}).get(REPLICAS, str(replicas))
        change = {"metadata": {"annotations": {REPLICAS: before}}, "spec": {"replicas": max(0, replicas - 1)}}
        self._kubectl.patch(kind, pod.workload, pod.namespace, change)

    def give_back(self, pod: str, namespace: str) -> None:
        """Whatever workload this pod was of has its size again, and what is left of the pod is gone, or going.

        Raises HarnessError when the cluster is not reached.
        """
        there = self._find(pod, namespace)
        # The beginnings of its name, where nothing else tells what the workload was called.
        parts = pod.split("-")
        names = ["-".join(parts[:end]) for end in range(len(parts), 0, -1)] if there is None else [there.workload]
        self._restore(names, namespace)
        # One that may not be struck off, or takes longer to end, goes in its own time.
        with contextlib.suppress(HarnessError, DeadlineExceeded):
            what = f"what is left of pod {pod} is gone"
            wait_until(lambda: self._is_struck_off(pod, namespace), what=what, timeout_s=_ENDED_S, poll_s=0.5)
        # A pod that was not taken after all, or only about to be; what is left on it does no harm.
        with contextlib.suppress(HarnessError):
            there = self._find(pod, namespace)
            if there is not None and there.owner_kind == "Deployment":
                self._kubectl.patch("pod", pod, namespace, {"metadata": {"annotations": {_COST: None}}})

    def _put_first(self, pod: ClusterPod, kill: Callable[[], None]) -> None:
        """Of its Deployment's pods this one is the next to go: by its cost, or, where costs do not count, since it is
        not ready while what was killed is started again.

        Raises HarnessError where one of the others would go before it.
        """
        same = [each for each in self._pods() if _workload(each) == _workload(pod) and not each.ending]
        others = [each for each in same if each.name != pod.name]
        unready = [each.name for each in others if not each.ready]
        if unready:
            raise HarnessError(
                f"pod {pod.name} cannot be kept down while {', '.join(unready)} is not ready: the ReplicaSet would end"
                " that one; wait until all are ready"
            )
        self._kubectl.patch("pod", pod.name, pod.namespace, {"metadata": {"annotations": {_COST: _LOWEST}}})
        if others and not self._costs_count:
            kill()
            what = f"the API has pod {pod.name} not ready once its process is killed"
            try:
                wait_until(lambda: not self._is_ready(pod), what=what, timeout_s=_UNREADY_S)
            except DeadlineExceeded as error:
                raise HarnessError(f"{error}: its ReplicaSet might end another pod") from error

    def _is_ready(self, pod: ClusterPod) -> bool:
        now = self._find(pod.name, pod.namespace)
        if now is None:
            raise PodGone(f"pod {pod.name} is gone")
        return now.ready

    def _find(self, name: str, namespace: str) -> ClusterPod | None:
        """The pod of this name that is there to stay."""
        named = (pod for pod in self._pods() if (pod.name, pod.namespace) == (name, namespace))
        return next((pod for pod in named if not pod.ending), None)

    def _restore(self, names: Sequence[str], namespace: str) -> None:
        """The first workload of these names of which a pod was taken has its size again. There need be none."""
        for name in names:
            for kind in _SCALED.values():
                try:
                    annotations = self._read(kind, name, namespace)["metadata"].get("annotations") or {}
                except HarnessError as error:
                    if "NotFound" in str(error):  # of several names that may be it, one is
                        continue
                    raise
                if REPLICAS in annotations:
                    size = {"replicas": int(annotations[REPLICAS])}
                    change = {"metadata": {"annotations": {REPLICAS: None}}, "spec": size}
                    self._kubectl.patch(kind, name, namespace, change)
                    return

    def _is_struck_off(self, name: str, namespace: str) -> bool:
        """Whether no pod of this name is about to go; one that has ended is gone now."""
        going = (pod for pod in self._pods() if (pod.name, pod.namespace) == (name, namespace) and pod.ending)
        left = next(going, None)
        if left is not None and left.has_ended:
            self._strike_off(left)
        return left is None or left.has_ended

    def _strike_off(self, pod: ClusterPod) -> None:
        """A pod that has ended is gone. Raises HarnessError.

        Else its kubelet, if older than 1.22, may take a minute to say so, and no other of its name can come before.
        """
        options = {"gracePeriodSeconds": 0, "preconditions": {"uid": pod.uid}}
        order = {"apiVersion": "v1", "kind": "DeleteOptions", **options}
        path = f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}"
        self._kubectl.run("delete", "--raw", path, "-f", "-", given=json.dumps(order).encode())

    def _read(self, kind: str, name: str, namespace: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._kubectl.get("-n", namespace, kind, name)
        return found


def _workload(pod: ClusterPod) -> tuple[str, str]:
    return pod.namespace, pod.workload
