"""Faults of a pod's processes: killed, kept down, or hanging."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from typing import Any

from harness.errors import HarnessError
from harness.faults.picking import drawn, main_of, one_of, pods_of, recorded, reference
from harness.faults.world import World
from harness.model import ProcessRef


def plan_kill(world: World, *, workload: str, namespace: str | None, seed: int) -> Mapping[str, Any]:
    """The record of killing the main process of one of the workload's pods, drawn by the seed."""
    return main_of(world, one_of(world, workload, namespace, seed))


def kill(world: World, record: Mapping[str, Any]) -> None:
    """SIGKILL to the pod's main process, as the kernel's out-of-memory killer sends it."""
    if not world.signal(reference(record["main"]), signal.SIGKILL):
        raise HarnessError(f"pod {record['pod']}: its process {record['main']['pid']} ended before it could be killed")


def killed(world: World, record: Mapping[str, Any]) -> str | None:
    """That the kernel no longer has this process; its start time tells it from a later one of the same number."""
    old = reference(record["main"])
    return f"process {old.pid} is gone" if world.process_state(old) is None else None


def plan_down(world: World, *, workload: str, namespace: str | None, seed: int) -> Mapping[str, Any]:
    """The record of killing one of the workload's pods and keeping it from coming back."""
    pod = drawn(pods_of(world, workload, namespace, removable=True), seed)
    record = main_of(world, pod)
    return {**record, "workload": workload, "running": _running(world, workload, record["namespace"])}


def take_down(world: World, record: Mapping[str, Any]) -> None:
    """No restart any more, then SIGKILL, so that nothing is put in order first."""
    world.keep_down(record["pod"], record["namespace"])
    world.signal(reference(record["main"]), signal.SIGKILL)


def is_down(world: World, record: Mapping[str, Any]) -> str | None:
    """That the kernel no longer has its process and nothing runs in its place."""
    old = reference(record["main"])
    if world.process_state(old) is not None or world.processes(record["pod"], record["namespace"]):
        return None
    return f"process {old.pid} is gone, and none took its place"


def bring_up(world: World, record: Mapping[str, Any]) -> None:
    """It is started again."""
    world.let_up(record["pod"], record["namespace"])


def is_up(world: World, record: Mapping[str, Any]) -> str | None:
    """That as many of the workload's pods run as before; the one that takes its place may have another name."""
    running = _running(world, record["workload"], record["namespace"])
    return f"{running} pods of {record['workload']} run again" if running >= record["running"] else None


def plan_hang(world: World, *, workload: str, namespace: str | None, seed: int) -> Mapping[str, Any]:
    """The record of stopping every process of one of the workload's pods."""
    record = main_of(world, one_of(world, workload, namespace, seed))
    processes = world.processes(record["pod"], record["namespace"])
    record["processes"] = [recorded(process) for process in processes]
    return record


def hang(world: World, record: Mapping[str, Any]) -> None:
    """SIGSTOP: the processes keep their sockets and answer nothing."""
    for process in _recorded_and_current(world, record):
        world.signal(process, signal.SIGSTOP)


def hanging(world: World, record: Mapping[str, Any]) -> str | None:
    """That the kernel shows the main process as stopped, and every other that has not ended, as a probe's soon does."""
    main = world.process_state(reference(record["main"]))
    return "the kernel shows it stopped (T)" if main == "T" and set(_states(world, record)) <= {"T", None} else None


def resume(world: World, record: Mapping[str, Any]) -> None:
    """SIGCONT to those processes; one that is gone needs none."""
    for process in _recorded_and_current(world, record):
        world.signal(process, signal.SIGCONT)


def resumed(world: World, record: Mapping[str, Any]) -> str | None:
    """That none of them is stopped any more."""
    return None if "T" in _states(world, record) else "the kernel shows it running again"


def _recorded_and_current(world: World, record: Mapping[str, Any]) -> list[ProcessRef]:
    """The processes planned for, and those that were started since; a pod may fork at any time."""
    current = world.processes(record["pod"], record["namespace"])
    return list(dict.fromkeys([*map(reference, record["processes"]), *current]))


def _states(world: World, record: Mapping[str, Any]) -> list[str | None]:
    return [world.process_state(process) for process in map(reference, record["processes"])]


def _running(world: World, workload: str, namespace: str) -> int:
    """How many of the workload's pods have a process."""
    return sum(1 for pod in world.pods(workload, namespace) if world.processes(pod.name, pod.namespace))
