"""A process's work on the device: it takes device time, holds memory, and fails when the device is lost."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from harness.gpu import physics
from harness.gpu.errors import GpuLostError, GpuUnavailable
from harness.gpu.state import MAX_TENANTS, StateFile

# Work runs in slices, so that a throttle or a loss in the middle of a long run is felt, and a killed process
# stops counting as busy, within this time.
_SLICE_S = 0.05
_DONE_S = 1e-6
# A slice that ends later than this was held up by something else, and the device did not work meanwhile.
_LATE_NS = 50_000_000


class Tenant:
    """A process's work on device 0; on a real device, or without any, it does nothing and takes no time.

    >>> with tenant(name="inference", memory_bytes=8 * 1024**3) as work:
    ...     work.run(0.020)   # 20 ms at full clock, 40 ms at half of it
    """

    def __init__(self, claim: Claim | None) -> None:
        """``claim``: its place on a simulated device; None makes a tenant that does nothing."""
        self._claim = claim

    def run(self, device_s: float) -> None:
        """Keep the device busy for ``device_s`` seconds at full clock; throttled, that takes longer.

        Runs side by side do not slow each other down, as batched work does not. Raises GpuLostError while the
        device is lost, also when it is lost meanwhile.
        """
        for slice_s in self._slices(device_s):
            time.sleep(slice_s)  # not a wait for something: this is how long the device takes

    async def run_async(self, device_s: float) -> None:
        """As ``run``, without blocking the event loop."""
        for slice_s in self._slices(device_s):
            await asyncio.sleep(slice_s)

    def set_memory(self, memory_bytes: int) -> None:
        """Hold this much of the device's memory from now on. Raises GpuLostError while the device is lost."""
        if self._claim:
            self._claim.set_memory(memory_bytes)

    def close(self) -> None:
        """Give the memory back. A process that ends, however it ends, gives it back too."""
        if self._claim:
            self._claim.close()
            self._claim = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _slices(self, device_s: float) -> Iterator[float]:
        claim = self._claim
        if claim is None:
            return
        left_s = device_s
        continues = False
        while left_s > _DONE_S:
            speed = claim.speed()
            slice_s = min(left_s / speed, _SLICE_S)
            claim.occupy(slice_s, continues=continues)
            began_s = time.monotonic()
            yield slice_s
            left_s -= (time.monotonic() - began_s) * speed
            continues = True


class Claim:
    """A tenant's slot in the state of a simulated device.

    It is alive while this object's own descriptor holds the slot's lock, which the kernel drops with the
    process.
    """

    def __init__(self, path: str, *, name: str, memory_bytes: int, device_index: int = 0) -> None:
        """Raises GpuUnavailable when the state cannot be read or every slot is taken by a living process."""
        self._file = StateFile(path)
        self._device = self._file.devices[device_index]
        with self._file.locked():
            slot = self._free_slot(device_index)
            self._tenant = self._device.tenants[slot]
            self._tenant.pid = os.getpid()
            self._tenant.pid_namespace = pid_namespace()
            self._tenant.memory_bytes = memory_bytes
            self._tenant.name = name.encode()[:63]
            self._tenant.occupied = 1

    def speed(self) -> float:
        """The clock work gets, as a share of the highest (above 0, at most 1). Raises GpuLostError."""
        self._check()
        return physics.clock_limit_mhz(self._device) / physics.SM_CLOCK_MAX_MHZ

    def occupy(self, duration_s: float, *, continues: bool) -> None:
        """Count the device as busy from now for this long; ``continues``: also since this run's last slice.

        Without that, the moments by which each slice ends late would read as idle.
        """
        with self._file.locked():
            now_ns = time.monotonic_ns()
            if continues and now_ns - self._device.busy_until_ns < _LATE_NS:
                self._device.busy_until_ns = max(self._device.busy_until_ns, now_ns)
            physics.advance(self._device, now_ns=now_ns, time_scale=self._file.time_scale)
            self._device.busy_until_ns = max(self._device.busy_until_ns, now_ns + int(duration_s * 1e9))

    def set_memory(self, memory_bytes: int) -> None:
        """Change what the slot holds. Raises GpuLostError."""
        self._check()
        with self._file.locked():
            self._tenant.memory_bytes = memory_bytes

    def close(self) -> None:
        """Leave the slot."""
        with self._file.locked():
            self._tenant.occupied = 0
        self._file.close()

    def _free_slot(self, device_index: int) -> int:
        for slot in range(MAX_TENANTS):
            if self._file.hold(self._file.tenant_byte(device_index, slot)):
                return slot
        raise GpuUnavailable(f"simulated GPU state {self._file.path}: all {MAX_TENANTS} tenant slots are taken")

    def _check(self) -> None:
        if self._device.lost:
            raise GpuLostError("the GPU has fallen off the bus")


def pid_namespace() -> int:
    """The inode of this process's PID namespace; a pid means nothing outside of it."""
    return os.stat("/proc/self/ns/pid").st_ino
