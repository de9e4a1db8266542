"""Whether a stack's pods are ready, and what keeps those that are not: in the cluster's words and their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

import requests

from harness.environments.kube.api_proxy import ask
from harness.environments.kube.pods import ClusterPod
from harness.stack import Workload

_TIMEOUT_S = 3.0
_LINES = 5
_EVENTS = 3


def unready(workloads: Sequence[Workload], pods: Sequence[ClusterPod]) -> Mapping[str, str]:
    """What is not ready, pods by their names and workloads without enough pods by theirs → why."""
    waiting: dict[str, str] = {}
    for workload in workloads:
        own = [
            pod
            for pod in pods
            if (pod.namespace, pod.owner_kind, pod.workload) == (workload.namespace, workload.kind, workload.name)
            and not pod.ending
        ]
        # One that failed stays where it is; what matters is whether another took its place.
        lasting = [pod for pod in own if pod.phase != "Failed"]
        missing = len(lasting) < workload.replicas
        if missing:
            waiting[workload.name] = f"{len(lasting)} of {workload.replicas} pods exist"
        for pod in own if missing else lasting:
            if not (pod.ready or pod.phase == "Succeeded"):
                waiting[pod.name] = why_unready(pod)
    return waiting


def diagnose(name: str, why: str, pods: Sequence[ClusterPod], proxy: str, namespaces: Sequence[str] = ()) -> str:
    """Why something is not ready, with its latest events and the last lines of its output.

    ``namespaces``: where events of a workload may be that has no pods.
    """
    pod = next((each for each in pods if each.name == name), None)
    looked_in = [pod.namespace] if pod else sorted({*namespaces, *(each.namespace for each in pods)})
    lines = [why]
    for namespace in looked_in:
        lines += [f"event {said}" for said in _events(proxy, namespace, name)]
    for container in (*pod.init_containers, *pod.containers) if pod else ():
        lines += _log(proxy, pod.namespace, pod.name, container.name) if pod else []
    return "\n    ".join(line[:300] for line in lines)


def why_unready(pod: ClusterPod) -> str:
    """What a pod itself is said to wait for."""
    held = [each for each in (*pod.init_containers, *pod.containers) if each.waiting]
    # Whoever waits for another to initialize the pod says nothing of its own.
    causes = [each for each in held if not each.waiting.startswith("PodInitializing")] or held
    waiting = "; ".join(f"container {each.name}: {each.waiting}" for each in causes)
    conditions = "; ".join(f"{name} {said}" for name, said in pod.conditions.items() if name != "ContainersReady")
    return waiting or conditions or f"phase {pod.phase}"


def _events(proxy: str, namespace: str, name: str) -> list[str]:
    with suppress(requests.RequestException, ValueError, KeyError, TypeError):
        answer = ask(f"{proxy}/api/v1/namespaces/{namespace}/events", timeout_s=_TIMEOUT_S)
        answer.raise_for_status()
        # Objects a controller makes carry their owner's name and something behind it.
        about = [e for e in answer.json()["items"] if str(e["involvedObject"].get("name", "")).startswith(name)]
        found = [each for each in about if each.get("type") == "Warning"]
        found.sort(key=lambda each: str(each.get("lastTimestamp") or each.get("eventTime") or ""))
        return [f"{each.get('reason')}: {each.get('message')}" for each in found[-_EVENTS:]]
    return []


def _log(proxy: str, namespace: str, pod: str, container: str) -> list[str]:
    with suppress(requests.RequestException):
        answer = ask(
            f"{proxy}/api/v1/namespaces/{namespace}/pods/{pod}/log",
            params={"container": container, "tailLines": str(_LINES)},
            timeout_s=_TIMEOUT_S,
        )
        if answer.ok:
            return answer.text.splitlines()[-_LINES:]
    return []
