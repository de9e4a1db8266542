"""What pynvml says of one device right now; a figure that cannot be read is None, never 0."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import pynvml

from harness.gpu.errors import GpuLostError, GpuUnavailable

T = TypeVar("T")

# Bits of nvmlDeviceGetCurrentClocksEventReasons by what holds the clock down (nvml.h). Hardware and software
# thermal slowdown are one reason to an operator. Left out, since nothing is wrong then: an idle device (0x1),
# clocks an operator set (0x2) and a clock chosen for a display (0x100).
THROTTLE_REASONS: Mapping[str, int] = {
    "thermal": 0x20 | 0x40,
    "power": 0x4,
    "hw_slowdown": 0x8,
    "hw_power_brake": 0x80,
    "sync_boost": 0x10,
    "board_limit": 0x200,
    "reliability": 0x400,
}

_WHOLE_LIBRARY_CODES = frozenset(
    {
        pynvml.NVML_ERROR_UNINITIALIZED,
        pynvml.NVML_ERROR_DRIVER_NOT_LOADED,
        pynvml.NVML_ERROR_LIBRARY_NOT_FOUND,
        pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH,
    }
)
_LOST_CODES = frozenset(
    {pynvml.NVML_ERROR_GPU_IS_LOST, pynvml.NVML_ERROR_RESET_REQUIRED, pynvml.NVML_ERROR_GPU_NOT_FOUND}
)


@dataclass(frozen=True, slots=True)
class Readout:
    """A device's figures; None where NVML could not read one.

    ``memory_utilization_percent``: the share of time in which memory was read or written.
    ``memory_used_bytes``: of all processes. ``throttle_reasons``: whether each of ``THROTTLE_REASONS`` holds.
    """

    utilization_percent: int | None = None
    memory_utilization_percent: int | None = None
    memory_used_bytes: int | None = None
    memory_free_bytes: int | None = None
    memory_total_bytes: int | None = None
    temperature_celsius: int | None = None
    power_watts: float | None = None
    throttle_reasons: Mapping[str, bool] | None = None


def read(index: int) -> Readout:
    """The figures of the device with this number.

    Raises GpuLostError when the device is lost or answers nothing at all, GpuUnavailable when NVML as a whole
    cannot be used any more; both chained from NVML's error where there is one.
    """
    try:
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    except pynvml.NVMLError as error:
        _raise_if_not_usable(index, error)
        raise GpuLostError(f"GPU {index}: no handle: {error}") from error
    utilization = _figure(index, lambda: pynvml.nvmlDeviceGetUtilizationRates(handle))
    memory = _figure(index, lambda: _memory(handle))
    power_milliwatts = _figure(index, lambda: int(pynvml.nvmlDeviceGetPowerUsage(handle)))
    mask = _figure(index, lambda: _reasons_mask(handle))
    readout = Readout(
        utilization_percent=None if utilization is None else int(utilization.gpu),
        memory_utilization_percent=None if utilization is None else int(utilization.memory),
        memory_used_bytes=None if memory is None else int(memory.used),
        memory_free_bytes=None if memory is None else int(memory.free),
        memory_total_bytes=None if memory is None else int(memory.total),
        temperature_celsius=_figure(index, lambda: _temperature(handle)),
        power_watts=None if power_milliwatts is None else power_milliwatts / 1000,
        throttle_reasons=None
        if mask is None
        else {reason: bool(mask & bits) for reason, bits in THROTTLE_REASONS.items()},
    )
    if readout == Readout():
        raise GpuLostError(f"GPU {index}: has a handle, but not one of its figures can be read")
    return readout


def _figure(index: int, call: Callable[[], T]) -> T | None:
    try:
        return call()
    except pynvml.NVMLError as error:
        _raise_if_not_usable(index, error)
        return None


def _raise_if_not_usable(index: int, error: Any) -> None:
    if error.value in _WHOLE_LIBRARY_CODES:
        raise GpuUnavailable(f"NVML cannot be used any more: {error}") from error
    if error.value in _LOST_CODES:
        raise GpuLostError(f"GPU {index}: {error}") from error


def _memory(handle: Any) -> Any:
    # The second version tells what the driver reserves from what is used; drivers before 510 do not have it.
    try:
        return pynvml.nvmlDeviceGetMemoryInfo(handle, version=pynvml.nvmlMemory_v2)
    except (pynvml.NVMLError_FunctionNotFound, pynvml.NVMLError_NotSupported):
        return pynvml.nvmlDeviceGetMemoryInfo(handle)


def _temperature(handle: Any) -> int:
    # The older call is deprecated and may go; the newer one is missing before driver 570.
    try:
        return int(pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU))
    except pynvml.NVMLError_FunctionNotFound:
        return int(pynvml.nvmlDeviceGetTemperatureV(handle, pynvml.NVML_TEMPERATURE_GPU))


def _reasons_mask(handle: Any) -> int:
    # "Event reasons" is the newer name of "throttle reasons": the same bits, from driver 535 on.
    try:
        return int(pynvml.nvmlDeviceGetCurrentClocksEventReasons(handle))
    except pynvml.NVMLError_FunctionNotFound:
        return int(pynvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle))
