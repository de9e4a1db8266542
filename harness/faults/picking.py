"""The pods that a fault is about."""

from __future__ import annotations

import random
from collections.abc import Sequence

from harness.errors import HarnessError
from harness.faults.world import Pod, World


def pods_of(world: World, workload: str, namespace: str | None) -> Sequence[Pod]:
    """The pods of a workload. Raises HarnessError when there is none."""
    pods = world.pods(workload, namespace)
    if not pods:
        raise HarnessError(f"no pod of workload {workload!r}" + (f" in namespace {namespace}" if namespace else ""))
    return pods


def one_of(world: World, workload: str, namespace: str | None, seed: int) -> Pod:
    """The pod of a workload that the seed draws. Raises HarnessError when there is none."""
    return random.Random(seed).choice(pods_of(world, workload, namespace))
