"""Whether a workload's pods all are of its present template."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def missing_of_rollout(controller: Mapping[str, Any]) -> str | None:
    """What a Deployment or StatefulSet still lacks; None when its rollout is complete.

    Source of what complete means: kubectl, ``rollout status``.
    """
    spec, status = controller["spec"], controller.get("status", {})
    wanted = int(spec.get("replicas", 1))
    if int(status.get("observedGeneration", 0)) < int(controller["metadata"].get("generation", 0)):
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
