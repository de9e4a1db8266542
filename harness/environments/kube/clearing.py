"""Pods that are not needed any more: gone soon, and their processes with them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from harness.clock import DeadlineExceeded, wait_until
from harness.environments.kube.kubectl import Kubectl
from harness.errors import HarnessError

# What makes pods goes before them, without them, or it would make them anew.
_MAKERS = "deployments,replicasets,statefulsets,daemonsets,jobs"
_TIMEOUT_S = 300.0
_POLL_S = 1.0


def clear_pods(
    admin: Kubectl, namespaces: Iterable[str], chosen: str, *, cascade: str, timeout_s: float = _TIMEOUT_S
) -> None:
    """None of these namespaces' pods that ``chosen`` selects by its labels is left, nor a process of theirs.

    All of it is thrown away, so none gets the half minute that it may take to end well. A pod whose containers have all
    ended, as its kubelet says itself, is struck off: kubelets before 1.22 may take a minute to do so. Raises
    HarnessError naming those that did not end.

    ``cascade``: what becomes of what belongs to whatever made the pods: with ``orphan`` revisions are left, which go
    with their namespace; with ``background`` they go, and the cluster may be first to end a pod, in its own time.
    """
    left = list(namespaces)
    for namespace in left:
        here = ("-n", namespace, "delete")
        admin.run(*here, _MAKERS, "-l", chosen, "--ignore-not-found", f"--cascade={cascade}", "--wait=false")
        admin.run(*here, "pods", "-l", chosen, "--ignore-not-found", "--grace-period=1", "--wait=false")
    going: list[str] = []

    def none_left() -> bool:
        going.clear()
        for namespace in tuple(left):
            pods = admin.get("pods", "-n", namespace, "-l", chosen)["items"]
            if not pods:
                left.remove(namespace)
                continue
            going.extend(f"{namespace}/{pod['metadata']['name']}" for pod in pods)
            ended = [pod["metadata"]["name"] for pod in pods if _has_ended(pod)]
            if ended:
                force = ("--grace-period=0", "--force", "--wait=false")
                admin.run("-n", namespace, "delete", "pods", *ended, "--ignore-not-found", *force)
        return not left

    try:
        wait_until(none_left, what="every pod is gone", timeout_s=timeout_s, poll_s=_POLL_S)
    except DeadlineExceeded as error:
        raise HarnessError(f"pods that do not end: {', '.join(going)}") from error


def _has_ended(pod: Mapping[str, Any]) -> bool:
    """Whether a pod that is to go has no container any more that its kubelet knows to run or may start yet.

    Of one that it finds no more a kubelet before 1.22 says that it waits, and how it ended before.
    """
    status = pod.get("status", {})
    containers = [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]
    return "deletionTimestamp" in pod["metadata"] and bool(containers) and all(map(_is_over, containers))


def _is_over(container: Mapping[str, Any]) -> bool:
    state, before = container.get("state") or {}, container.get("lastState") or {}
    return "terminated" in state or ("waiting" in state and "terminated" in before)
