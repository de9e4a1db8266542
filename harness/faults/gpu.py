"""Faults of a simulated GPU: heat, memory, clocks, XIDs, loss. A real device is never made ill."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.errors import HarnessError
from harness.faults.world import World
from harness.gpu import SimulatedDevice

Record = Mapping[str, Any]


def plan(world: World, *, gpu: int, **params: Any) -> Record:
    """The record of a fault of one device."""
    device = _device(world, {"gpu": gpu})
    return {"gpu": gpu, "xids_before": device.xids_raised(), **params}


def lose_cooling(world: World, record: Record) -> None:
    """The device heats up to the target."""
    _device(world, record).lose_cooling(record["celsius"])


def hot(world: World, record: Record) -> str | None:
    """That the device reads at least one degree short of the target."""
    celsius = _device(world, record).reading().temperature_celsius
    if celsius is None or celsius < record["celsius"] - 1:
        return None
    return f"the device reads {celsius:.1f} °C"


def restore_cooling(world: World, record: Record) -> None:
    """The device cools down again."""
    _device(world, record).restore_cooling()


def cool(world: World, record: Record) -> str | None:
    """That the device reads at least 5 degrees below the target."""
    celsius = _device(world, record).reading().temperature_celsius
    return f"the device reads {celsius:.1f} °C" if celsius is not None and celsius < record["celsius"] - 5 else None


def take_memory(world: World, record: Record) -> None:
    """Somebody else's allocation fills the device's memory."""
    _device(world, record).take_memory(record["fraction"])


def memory_taken(world: World, record: Record) -> str | None:
    """That the device reports at least that share as used."""
    share = _memory_share(world, record)
    return f"the device reports {share:.1%} of its memory used" if share >= record["fraction"] - 0.005 else None


def release_memory(world: World, record: Record) -> None:
    """The allocation ends."""
    _device(world, record).release_memory()


def memory_released(world: World, record: Record) -> str | None:
    """That the device reports less than that share as used."""
    share = _memory_share(world, record)
    return f"the device reports {share:.1%} of its memory used" if share < record["fraction"] - 0.005 else None


def throttle(world: World, record: Record) -> None:
    """The device holds its clock down and says why."""
    _device(world, record).throttle(record["clock_mhz"], record["reason"])


def throttled(world: World, record: Record) -> str | None:
    """That the device reads a clock no higher than asked."""
    clock_mhz = _device(world, record).reading().sm_clock_mhz
    return f"the device's SM clock reads {clock_mhz} MHz" if clock_mhz <= record["clock_mhz"] else None


def unthrottle(world: World, record: Record) -> None:
    """The clock is free again."""
    _device(world, record).unthrottle()


def unthrottled(world: World, record: Record) -> str | None:
    """That the device reads a higher clock."""
    clock_mhz = _device(world, record).reading().sm_clock_mhz
    return f"the device's SM clock reads {clock_mhz} MHz" if clock_mhz > record["clock_mhz"] else None


def raise_xid(world: World, record: Record) -> None:
    """The driver reports an XID."""
    _device(world, record).raise_xid(record["code"])


def xid_raised(world: World, record: Record) -> str | None:
    """That the device has counted one more."""
    count = _device(world, record).xids_raised()
    return f"the device has raised {count} XIDs" if count > record["xids_before"] else None


def lose(world: World, record: Record) -> None:
    """The device falls off the bus."""
    _device(world, record).lose()


def lost(world: World, record: Record) -> str | None:
    """That the device no longer answers."""
    return "the device does not answer (GPU is lost)" if _device(world, record).is_lost() else None


def restore(world: World, record: Record) -> None:
    """The device is back, as after a reset."""
    _device(world, record).restore()


def restored(world: World, record: Record) -> str | None:
    """That the device answers."""
    return None if _device(world, record).is_lost() else "the device answers again"


def _memory_share(world: World, record: Record) -> float:
    reading = _device(world, record).reading()
    return reading.memory_used_bytes / reading.memory_total_bytes


def _device(world: World, record: Record) -> SimulatedDevice:
    if world.simulated_gpus is None:
        raise HarnessError("this fault needs a simulated GPU; the harness never makes a real device ill")
    return SimulatedDevice(world.simulated_gpus, int(record["gpu"]))
