"""Whether a workload's pods are of its present template."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from harness.clock import DeadlineExceeded, wait_until
from harness.errors import HarnessError

_TAKEN_UP_S = 20.0


def missing_of_rollout(controller: Mapping[str, Any]) -> str | None:
    """What a Deployment or StatefulSet still lacks; None when its rollout is complete.

    Source of what complete means: kubectl, ``rollout status``.
    """
    spec, status = controller["spec"], controller.get("status", {})
    wanted = int(spec.get("replicas", 1))
    if not _is_seen(controller):
        return "the change has not been seen yet"
    updated = int(status.get("updatedReplicas", status.get("currentReplicas", 0)))
    if controller.get("kind") == "StatefulSet" and status.get("currentRevision") == status.get("updateRevision"):
        updated = int(status.get("currentReplicas", 0))
    for what, count in (("updated", updated), ("ready", int(status.get("readyReplicas", 0)))):
        if count < wanted:
            return f"{count} of {wanted} pods are {what}"
    if int(status.get("replicas", 0)) > wanted:
        return f"{int(status['replicas']) - wanted} old pods are still there"
    return None


def present_revision(name: str, read: Callable[[], Mapping[str, Any]]) -> str:
    """The revision of a StatefulSet's present template, by which alone its controller acts from here on.

    ``read`` gives the StatefulSet of this name. Raises HarnessError when its controller does not take the template up.
    """

    def taken_up() -> Mapping[str, Any] | None:
        found = read()
        return found if _is_seen(found) else None

    try:
        found = wait_until(taken_up, what="the template is taken up", timeout_s=_TAKEN_UP_S, poll_s=0.2)
    except DeadlineExceeded as error:
        raise HarnessError(
            f"StatefulSet {name}: {error}; see why kube-controller-manager does nothing, then heal again"
        ) from error
    return str(found["status"]["updateRevision"])


def _is_seen(controller: Mapping[str, Any]) -> bool:
    generation = int(controller["metadata"].get("generation", 0))
    return int(controller.get("status", {}).get("observedGeneration", 0)) >= generation
