"""The volumes that faults are in, reached through whichever pod has them by now."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from harness.clock import DeadlineExceeded, wait_until
from harness.errors import HarnessError, PodGone
from harness.faults.world import Pod, World

Record = Mapping[str, Any]


def recorded_volume(world: World, pod: Pod, volume: str) -> dict[str, Any]:
    """The record of a pod's volume, by which it is found again once the pod is gone."""
    kept = world.kept_volume(pod.name, pod.namespace, volume)
    return {"pod": pod.name, "namespace": pod.namespace, "workload": pod.workload, "kept": kept}


def place_now(world: World, each: Record, volume: str) -> tuple[str, str, str]:
    """Pod, namespace and volume by which a recorded volume is reached now, the pod of the record before all others.

    Raises HarnessError for one that outlived its pod and that no pod has. A pod whose volume ends with it may be gone.
    """
    if each["kept"] is None:
        return each["pod"], each["namespace"], volume
    found = sorted(
        world.pods_with(each["kept"]), key=lambda at: (at[0].name != each["pod"], at[0].workload != each["workload"])
    )
    if not found:
        raise HarnessError(
            f"volume {volume} of pod {each['pod']} outlives it, and no pod has it now: start one that mounts it, and "
            "undo this by `harness heal`"
        )
    pod, called = found[0]
    return pod.name, pod.namespace, called


def put_right(world: World, each: Record, volume: str, order: Callable[[str, str, str], None]) -> None:
    """The order is carried out on a recorded volume, given pod, namespace and volume, unless it ended with its pod.

    Whatever takes a pod's place, also one of the same name, has volumes only once it is started: that is waited for.
    Raises HarnessError when it takes too long.
    """
    problem = ""

    def done() -> bool:
        nonlocal problem
        try:
            with unless_ended(each):
                order(*place_now(world, each, volume))
        except HarnessError as error:
            problem = str(error)
            return False
        return True

    what = f"volume {volume} of pod {each['pod']} is put right"
    try:
        wait_until(done, what=what, timeout_s=world.reach_s, poll_s=world.look_every_s, last=lambda: problem)
    except DeadlineExceeded as error:
        raise HarnessError(str(error)) from error


@contextmanager
def unless_ended(each: Record) -> Iterator[None]:
    """What is done inside is passed over for a volume that ended with its pod; for any other PodGone is raised."""
    try:
        yield
    except PodGone:
        if each["kept"] is not None:
            raise


def ended_with_pods(records: Iterable[Record]) -> str:
    """What is told of volumes none of which is left to be read."""
    return f"gone with their volumes: {', '.join(each['pod'] for each in records)}"
