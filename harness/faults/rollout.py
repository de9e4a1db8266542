"""Faults of a rollout: an image that cannot be pulled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.errors import HarnessError
from harness.faults.world import World, cluster_of

Record = Mapping[str, Any]
# No registry can have this name (RFC 6761, section 6.4), so nothing is asked of anybody.
UNPULLABLE = "registry.invalid/harness/no-such-image:0"
_REASONS = ("ErrImagePull", "ImagePullBackOff")


def plan(world: World, *, workload: str, namespace: str | None) -> Record:
    """The record of rolling out an image that cannot be pulled."""
    cluster = cluster_of(world)
    before = dict(cluster.image(workload, namespace))
    missing = cluster.rollout(before["kind"], before["name"], before["namespace"])
    if missing is not None:
        raise HarnessError(f"{before['kind']} {before['name']} is being rolled out already: {missing}")
    return {"workload": workload, **before}


def break_image(world: World, record: Record) -> None:
    """New pods of the workload name an image of a registry that does not exist."""
    cluster_of(world).set_image(*_named(record), image=UNPULLABLE, policy="IfNotPresent")


def unpullable(world: World, record: Record) -> str | None:
    """That the API has a pod of it waiting for its image."""
    waiting = _waiting(world, record)
    told = ", ".join(f"{pod} waits: {reason}" for pod, reason in sorted(waiting.items()))
    return f"the API says {told}" if waiting else None


def restore_image(world: World, record: Record) -> None:
    """New pods have the image from before.

    A StatefulSet's controller waits until a pod of the broken template is ready, which it never is, so such pods are
    replaced. Source: Kubernetes, StatefulSets, "Forced rollback".
    """
    cluster = cluster_of(world)
    cluster.set_image(*_named(record), image=record["image"], policy=record["policy"])
    if record["kind"] == "StatefulSet":
        cluster.replace_stuck(*_named(record)[1:])


def rolled_out(world: World, record: Record) -> str | None:
    """That no pod waits for an image, and all are of the workload's template and ready."""
    if _waiting(world, record) or cluster_of(world).rollout(*_named(record)) is not None:
        return None
    return f"{record['kind']} {record['name']} is rolled out with {record['image']}"


def _named(record: Record) -> tuple[str, str, str]:
    return record["kind"], record["name"], record["namespace"]


def _waiting(world: World, record: Record) -> dict[str, str]:
    found = cluster_of(world).waiting(record["name"], record["namespace"])
    return {pod: reason for pod, reason in found.items() if reason in _REASONS}
