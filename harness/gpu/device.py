"""One simulated device: what it reads, the faults that can be set in it, and their undoing."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from harness.gpu import physics
from harness.gpu.state import MAX_TENANTS, XID_CODES, XID_RING, DeviceState, StateFile, write_state_file

# What a throttle of each reason shows in NVML. A power brake is a kind of hardware slowdown there (nvml.h on
# nvmlClocksEventReasonHwSlowdown), so it sets both bits.
THROTTLE_MASKS: Mapping[str, int] = {
    "hw_slowdown": physics.HW_SLOWDOWN,
    "thermal": physics.SW_THERMAL_SLOWDOWN,
    "power": physics.SW_POWER_CAP,
    "hw_power_brake": physics.HW_POWER_BRAKE | physics.HW_SLOWDOWN,
}


@dataclass(frozen=True, slots=True)
class TenantReading:
    """A live process on the device; ``pid`` is its number in the PID namespace with this inode."""

    name: str
    pid: int
    pid_namespace: int
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Reading:
    """A device at one instant, straight from its state, also while it is lost.

    ``utilization_percent``: over the last second. ``memory_used_bytes`` excludes ``memory_reserved_bytes``.
    ``sm_clock_limit_mhz``: what work gets; ``sm_clock_mhz``: what the device shows, lower when idle.
    ``throttle_mask``: NVML's clocks event reasons. ``xid_counts``: how often each code was raised.
    """

    index: int
    lost: bool
    utilization_percent: float
    memory_utilization_percent: float
    memory_total_bytes: int
    memory_reserved_bytes: int
    memory_used_bytes: int
    temperature_celsius: float
    power_watts: float
    sm_clock_mhz: int
    sm_clock_limit_mhz: int
    memory_clock_mhz: int
    throttle_mask: int
    power_violation_s: float
    thermal_violation_s: float
    persistence: bool
    xid_counts: Mapping[int, int]
    tenants: tuple[TenantReading, ...]


def create(path: str | os.PathLike[str], *, device_count: int = 1, time_scale: float = 1.0) -> None:
    """A new state file of idle, healthy devices, replacing any at ``path``.

    ``time_scale`` divides the thermal time constants (60 s of spec time), nothing else: work takes real time.
    Raises ValueError for a number out of range.
    """
    idle_celsius = physics.AMBIENT_CELSIUS + physics.POWER_IDLE_WATTS * physics.THERMAL_RESISTANCE_CELSIUS_PER_WATT
    write_state_file(path, device_count=device_count, time_scale=time_scale, temperature_celsius=idle_celsius)


class SimulatedDevice:
    """A device of the state file at ``path``, as seen by whoever breaks it, repairs it or checks on it.

    >>> device = SimulatedDevice("gpu.state", 0)
    >>> device.lose_cooling(86)
    >>> device.reading().temperature_celsius
    """

    def __init__(self, path: str | os.PathLike[str], index: int = 0, *, file: StateFile | None = None) -> None:
        """``file`` shares one mapping among devices.

        Raises GpuUnavailable when there is no such file, IndexError when it has no such device.
        """
        self._file = file or StateFile(path)
        self.index = index
        self._state = self._file.devices[index]

    def reading(self) -> Reading:
        """The device now."""
        with self._advanced() as state:
            return _reading(self._file, state, self.index)

    def lose_cooling(self, target_celsius: float) -> None:
        """Take the air away: within 60 s of spec time the device passes ``target_celsius``, busy or idle.

        It settles 2 °C above. At 90 °C and more it halves its clock, as the hardware's thermal slowdown does.
        """
        if not 40 <= target_celsius <= 120:
            raise ValueError(f"target_celsius: got {target_celsius}, need 40 to 120")
        with self._advanced() as state:
            state.cooling_target_celsius = target_celsius

    def restore_cooling(self) -> None:
        """The air is back; the device cools with a time constant of 60 s of spec time."""
        with self._advanced() as state:
            state.cooling_target_celsius = 0.0

    def take_memory(self, fraction: float) -> None:
        """Used memory becomes at least this fraction of the total, whatever the tenants hold."""
        if not 0 < fraction <= 0.99:
            raise ValueError(f"fraction: got {fraction}, need a number above 0 and at most 0.99")
        with self._advanced() as state:
            state.memory_taken_ratio = fraction

    def release_memory(self) -> None:
        """Only what the tenants hold is used again."""
        with self._advanced() as state:
            state.memory_taken_ratio = 0.0

    def throttle(self, sm_clock_mhz: int, reason: str) -> None:
        """Hold the SM clock down, for one of the reasons in ``THROTTLE_MASKS``.

        A second call replaces the first.
        """
        if reason not in THROTTLE_MASKS:
            raise ValueError(f"reason: got {reason!r}, need one of {', '.join(THROTTLE_MASKS)}")
        if not 1 <= sm_clock_mhz <= physics.SM_CLOCK_MAX_MHZ:
            raise ValueError(f"sm_clock_mhz: got {sm_clock_mhz}, need 1 to {physics.SM_CLOCK_MAX_MHZ}")
        with self._advanced() as state:
            state.throttle_mhz = sm_clock_mhz
            state.throttle_mask = THROTTLE_MASKS[reason]

    def unthrottle(self) -> None:
        """The clock is free again, unless the device is too hot."""
        with self._advanced() as state:
            state.throttle_mhz = 0
            state.throttle_mask = 0

    def raise_xid(self, code: int) -> None:
        """Report an XID error, once, to everyone who waits for such events; call again for a repeat."""
        if not 1 <= code < XID_CODES:
            raise ValueError(f"code: got {code}, need 1 to {XID_CODES - 1}")
        with self._advanced() as state:
            state.xid_ring[state.xid_raised % XID_RING] = code
            state.xid_counts[code] += 1
            state.xid_raised += 1

    def lose(self) -> None:
        """The device falls off the bus: every call about it answers GPU_IS_LOST, work on it fails."""
        with self._advanced() as state:
            state.lost = 1

    def restore(self) -> None:
        """The device is back on the bus; other faults set in it stay."""
        with self._advanced() as state:
            state.lost = 0

    def set_persistence(self, enabled: bool) -> None:
        """What nvmlDeviceSetPersistenceMode does."""
        with self._advanced() as state:
            state.persistence = int(enabled)

    def lock_clocks(self, sm_clock_max_mhz: int) -> None:
        """What nvmlDeviceSetGpuLockedClocks does; 0 unlocks. A setting of the operator's, not a throttle."""
        with self._advanced() as state:
            state.locked_mhz = min(sm_clock_max_mhz, physics.SM_CLOCK_MAX_MHZ)

    def xids_since(self, seen: int) -> tuple[int, tuple[int, ...]]:
        """How many XIDs were raised up to now, and the codes after the first ``seen`` ones, oldest first.

        Only the last 64 codes are kept: of more than that, the oldest are missing.
        """
        with self._file.locked():
            raised = self._state.xid_raised
            first = max(seen, raised - XID_RING)
            return raised, tuple(self._state.xid_ring[number % XID_RING] for number in range(first, raised))

    def xids_raised(self) -> int:
        """How many XIDs were raised since the file was made. Reads one word, so it needs no lock."""
        raised: int = self._state.xid_raised
        return raised

    def is_lost(self) -> bool:
        """Whether the device is off the bus. Reads one word, so it needs no lock."""
        return bool(self._state.lost)

    @contextmanager
    def _advanced(self) -> Iterator[DeviceState]:
        with self._file.locked():
            physics.advance(self._state, now_ns=time.monotonic_ns(), time_scale=self._file.time_scale)
            yield self._state


def _reading(file: StateFile, state: DeviceState, index: int) -> Reading:
    tenants = tuple(_live_tenants(file, state, index))
    held_bytes = sum(tenant.memory_bytes for tenant in tenants)
    taken_bytes = math.ceil(state.memory_taken_ratio * physics.MEMORY_TOTAL_BYTES)
    usable_bytes = physics.MEMORY_TOTAL_BYTES - physics.MEMORY_RESERVED_BYTES
    busy_ratio = physics.busy_ratio(state)
    limit_mhz = physics.clock_limit_mhz(state)
    return Reading(
        index=index,
        lost=bool(state.lost),
        utilization_percent=100 * busy_ratio,
        # Decoding and training read memory for a good part of the time the device is busy.
        memory_utilization_percent=60 * busy_ratio,
        memory_total_bytes=physics.MEMORY_TOTAL_BYTES,
        memory_reserved_bytes=physics.MEMORY_RESERVED_BYTES,
        memory_used_bytes=min(max(held_bytes, taken_bytes), usable_bytes),
        temperature_celsius=state.temperature_celsius,
        power_watts=physics.power_watts(state, busy_ratio),
        sm_clock_mhz=limit_mhz if busy_ratio else min(limit_mhz, physics.SM_CLOCK_IDLE_MHZ),
        sm_clock_limit_mhz=limit_mhz,
        memory_clock_mhz=physics.MEMORY_CLOCK_MHZ,
        throttle_mask=physics.reasons(state),
        power_violation_s=state.power_violation_ns / 1e9,
        thermal_violation_s=state.thermal_violation_ns / 1e9,
        persistence=bool(state.persistence),
        xid_counts={code: count for code, count in enumerate(state.xid_counts) if count},
        tenants=tenants,
    )


def _live_tenants(file: StateFile, state: DeviceState, index: int) -> Iterator[TenantReading]:
    for slot in range(MAX_TENANTS):
        tenant = state.tenants[slot]
        if tenant.occupied and file.is_held_elsewhere(file.tenant_byte(index, slot)):
            yield TenantReading(
                name=tenant.name.decode(errors="replace"),
                pid=tenant.pid,
                pid_namespace=tenant.pid_namespace,
                memory_bytes=tenant.memory_bytes,
            )
