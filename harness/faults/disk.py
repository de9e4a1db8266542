"""Faults of storage: a volume without space."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.errors import HarnessError
from harness.faults.picking import pods_of
from harness.faults.volumes import ended_with_pods, place_now, put_right, recorded_volume, unless_ended
from harness.faults.world import World

FILL_FILE = ".filled-by-harness"
# A fill takes memory or disk of the machine; none is asked for more than this.
_MAX_FILL_BYTES = 4 * 2**30


def plan_fill(world: World, *, workload: str, volume: str, namespace: str | None, percent: float) -> Mapping[str, Any]:
    """The record of filling a volume of each of the workload's pods to ``percent`` of its size with one file."""
    pods = pods_of(world, workload, namespace)
    if not 0 < percent <= 100:
        raise HarnessError(f"percent: got {percent:g}, need more than 0 and at most 100")
    fills = []
    for pod in pods:
        size, available = world.volume_usage(pod.name, pod.namespace, volume)
        if size <= 0:
            raise HarnessError(f"volume {volume} of pod {pod.name} has no size: it cannot be filled")
        fill_bytes = round(size * percent / 100) - (size - available)
        if fill_bytes <= 0:
            used = 100 * (1 - available / size)
            raise HarnessError(
                f"volume {volume} of pod {pod.name} is already {used:.0f} % full, not below {percent:g} %"
            )
        if fill_bytes > _MAX_FILL_BYTES:
            raise HarnessError(f"volume {volume} of pod {pod.name}: {fill_bytes} bytes to fill are too many for a test")
        fills.append({**recorded_volume(world, pod, volume), "bytes": fill_bytes})
    return {"volume": volume, "percent": percent, "fills": fills}


def fill(world: World, record: Mapping[str, Any]) -> None:
    """Writes the files. A volume that runs full before the last byte is as full as was asked for."""
    for each in record["fills"]:
        world.allocate_file(each["pod"], each["namespace"], record["volume"], FILL_FILE, each["bytes"])


def filled(world: World, record: Mapping[str, Any]) -> str | None:
    """That statvfs shows each volume within one point of the asked share."""
    seen = []
    for each in record["fills"]:
        size, available = world.volume_usage(each["pod"], each["namespace"], record["volume"])
        used_percent = 100 * (1 - available / size)
        if used_percent < record["percent"] - 1:
            return None
        seen.append(f"{each['pod']} {used_percent:.1f} %")
    return f"statvfs shows {record['volume']} used: {', '.join(seen)}"


def free(world: World, record: Mapping[str, Any]) -> None:
    """Removes the files; those on a volume that ended with its pod went with it."""

    def remove(pod: str, namespace: str, volume: str) -> None:
        world.remove_file(pod, namespace, volume, FILL_FILE)

    for each in record["fills"]:
        put_right(world, each, record["volume"], remove)


def freed(world: World, record: Mapping[str, Any]) -> str | None:
    """That the files are gone."""
    read = 0
    for each in record["fills"]:
        with unless_ended(each):
            if world.has_file(*place_now(world, each, record["volume"]), FILL_FILE):
                return None
            read += 1
    return f"{record['volume']} holds no filling file any more" if read else ended_with_pods(record["fills"])
