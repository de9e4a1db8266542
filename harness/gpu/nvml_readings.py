"""The per-device C functions of NVML: a reading of the simulated device put into the caller's structures.

Each function gets the reading, the device's identity and then what pynvml passes after the handle; it returns
None for success or NVML's status. What an SXM board without MIG instances, fans and links in use does not
have is NOT_SUPPORTED.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import pynvml

from harness.gpu import physics
from harness.gpu.device import Reading, SimulatedDevice, TenantReading
from harness.gpu.nvml_identity import IDENTITY, Identity
from harness.gpu.tenants import pid_namespace

_SAMPLING_PERIOD_US = 100_000
_PERFORMANCE_STATE = 0  # a data centre board stays in P0 also when idle


def _memory_v1(reading: Reading, _: Identity, out: Any) -> None:
    # The first version has no field for what the driver reserves and counts it as used.
    memory = out._obj
    memory.total = reading.memory_total_bytes
    memory.used = reading.memory_used_bytes + reading.memory_reserved_bytes
    memory.free = memory.total - memory.used


def _memory_v2(reading: Reading, _: Identity, out: Any) -> int | None:
    memory = out._obj
    if memory.version != pynvml.nvmlMemory_v2:
        return int(pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH)
    memory.total = reading.memory_total_bytes
    memory.reserved = reading.memory_reserved_bytes
    memory.used = reading.memory_used_bytes
    memory.free = memory.total - memory.reserved - memory.used
    return None


def _utilization(reading: Reading, _: Identity, out: Any) -> None:
    out._obj.gpu = round(reading.utilization_percent)
    out._obj.memory = round(reading.memory_utilization_percent)


def _codec_utilization(_: Reading, __: Identity, percent: Any, period_us: Any) -> None:
    percent._obj.value = 0  # nothing encodes or decodes video here
    period_us._obj.value = _SAMPLING_PERIOD_US


def _temperature(reading: Reading, _: Identity, sensor: Any, out: Any) -> int | None:
    if sensor.value != pynvml.NVML_TEMPERATURE_GPU:
        return int(pynvml.NVML_ERROR_INVALID_ARGUMENT)
    out._obj.value = int(reading.temperature_celsius)
    return None


def _temperature_v(reading: Reading, _: Identity, out: Any) -> int | None:
    request = out._obj
    if request.version != pynvml.nvmlTemperature_v1:
        return int(pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH)
    if request.sensorType != pynvml.NVML_TEMPERATURE_GPU:
        return int(pynvml.NVML_ERROR_INVALID_ARGUMENT)
    request.temperature = int(reading.temperature_celsius)
    return None


def _temperature_threshold(_: Reading, __: Identity, threshold: Any, out: Any) -> int | None:
    celsius = {
        pynvml.NVML_TEMPERATURE_THRESHOLD_SHUTDOWN: physics.SHUTDOWN_CELSIUS,
        pynvml.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN: physics.SLOWDOWN_CELSIUS,
    }.get(threshold.value)
    if celsius is None:
        return int(pynvml.NVML_ERROR_NOT_SUPPORTED)
    out._obj.value = int(celsius)
    return None


def _power(reading: Reading, _: Identity, out: Any) -> None:
    out._obj.value = round(reading.power_watts * 1000)


def _power_limit(_: Reading, __: Identity, out: Any) -> None:
    out._obj.value = round(physics.POWER_LIMIT_WATTS * 1000)


def _clock(reading: Reading, _: Identity, kind: Any, out: Any) -> int | None:
    return _put_clock(kind, out, sm_mhz=reading.sm_clock_mhz, memory_mhz=reading.memory_clock_mhz)


def _max_clock(reading: Reading, _: Identity, kind: Any, out: Any) -> int | None:
    return _put_clock(kind, out, sm_mhz=physics.SM_CLOCK_MAX_MHZ, memory_mhz=physics.MEMORY_CLOCK_MHZ)


def _put_clock(kind: Any, out: Any, *, sm_mhz: int, memory_mhz: int) -> int | None:
    mhz = {
        pynvml.NVML_CLOCK_GRAPHICS: sm_mhz,
        pynvml.NVML_CLOCK_SM: sm_mhz,
        pynvml.NVML_CLOCK_MEM: memory_mhz,
    }.get(kind.value)
    if mhz is None:
        return int(pynvml.NVML_ERROR_NOT_SUPPORTED)
    out._obj.value = mhz
    return None


def _performance_state(_: Reading, __: Identity, out: Any) -> None:
    out._obj.value = _PERFORMANCE_STATE


def _persistence(reading: Reading, _: Identity, out: Any) -> None:
    out._obj.value = int(reading.persistence)


def _compute_capability(_: Reading, __: Identity, major: Any, minor: Any) -> None:
    major._obj.value, minor._obj.value = 9, 0


def _compute_mode(_: Reading, __: Identity, out: Any) -> None:
    out._obj.value = pynvml.NVML_COMPUTEMODE_DEFAULT


def _mig_mode(_: Reading, __: Identity, current: Any, pending: Any) -> None:
    current._obj.value = pending._obj.value = pynvml.NVML_DEVICE_MIG_DISABLE


def _reasons(reading: Reading, _: Identity, out: Any) -> None:
    out._obj.value = reading.throttle_mask


def _supported_reasons(_: Reading, __: Identity, out: Any) -> None:
    out._obj.value = pynvml.nvmlClocksEventReasonAll


def _violation(reading: Reading, _: Identity, policy: Any, out: Any) -> int | None:
    violated_s = {
        pynvml.NVML_PERF_POLICY_POWER: reading.power_violation_s,
        pynvml.NVML_PERF_POLICY_THERMAL: reading.thermal_violation_s,
    }.get(policy.value)
    if violated_s is None:
        return int(pynvml.NVML_ERROR_NOT_SUPPORTED)
    out._obj.referenceTime = time.time_ns() // 1000
    out._obj.violationTime = round(violated_s * 1e9)
    return None


def _ecc_errors(_: Reading, __: Identity, kind: Any, counter: Any, out: Any) -> None:
    out._obj.value = 0  # no fault here damages memory


def _remapped_rows(_: Reading, __: Identity, *outs: Any) -> None:
    for out in outs:
        out._obj.value = 0


def _processes(reading: Reading, _: Identity, count: Any, array: Any) -> int | None:
    here = pid_namespace()
    # A process in another PID namespace has no number that means anything to the caller: NVML leaves it out
    # too.
    tenants = [tenant for tenant in reading.tenants if tenant.pid_namespace == here]
    return _put_processes(tenants, count._obj, array)


def _graphics_processes(_: Reading, __: Identity, count: Any, array: Any) -> int | None:
    return _put_processes([], count._obj, array)


def _put_processes(tenants: list[TenantReading], count: Any, array: Any) -> int | None:
    room, count.value = count.value, len(tenants)
    if room < len(tenants):
        return int(pynvml.NVML_ERROR_INSUFFICIENT_SIZE)
    for place, tenant in enumerate(tenants):
        array[place].pid = tenant.pid
        array[place].usedGpuMemory = tenant.memory_bytes
        array[place].gpuInstanceId = array[place].computeInstanceId = 0xFFFFFFFF  # not a MIG instance
    return None


def _not_supported(_: Reading, __: Identity, *arguments: Any) -> int:
    return int(pynvml.NVML_ERROR_NOT_SUPPORTED)


def _set_persistence(device: SimulatedDevice, mode: Any) -> None:
    device.set_persistence(bool(mode.value))


def _lock_clocks(device: SimulatedDevice, _min_mhz: Any, max_mhz: Any) -> None:
    device.lock_clocks(max_mhz.value)


def _unlock_clocks(device: SimulatedDevice) -> None:
    device.lock_clocks(0)


READINGS: Mapping[str, Callable[..., int | None]] = {
    **IDENTITY,
    "nvmlDeviceGetMemoryInfo": _memory_v1,
    "nvmlDeviceGetMemoryInfo_v2": _memory_v2,
    "nvmlDeviceGetUtilizationRates": _utilization,
    "nvmlDeviceGetEncoderUtilization": _codec_utilization,
    "nvmlDeviceGetDecoderUtilization": _codec_utilization,
    "nvmlDeviceGetFanSpeed": _not_supported,
    "nvmlDeviceGetComputeRunningProcesses_v3": _processes,
    "nvmlDeviceGetGraphicsRunningProcesses_v3": _graphics_processes,
    "nvmlDeviceGetComputeMode": _compute_mode,
    "nvmlDeviceGetDriverModel": _not_supported,
    "nvmlDeviceGetDriverModel_v2": _not_supported,
    "nvmlDeviceGetDisplayMode": _not_supported,
    "nvmlDeviceGetDisplayActive": _not_supported,
    "nvmlDeviceGetBAR1MemoryInfo": _not_supported,
    "nvmlDeviceGetMigMode": _mig_mode,
    "nvmlDeviceGetTemperature": _temperature,
    "nvmlDeviceGetTemperatureV": _temperature_v,
    "nvmlDeviceGetTemperatureThreshold": _temperature_threshold,
    "nvmlDeviceGetPowerUsage": _power,
    "nvmlDeviceGetEnforcedPowerLimit": _power_limit,
    "nvmlDeviceGetPowerManagementLimit": _power_limit,
    "nvmlDeviceGetClockInfo": _clock,
    "nvmlDeviceGetMaxClockInfo": _max_clock,
    "nvmlDeviceGetPerformanceState": _performance_state,
    "nvmlDeviceGetPersistenceMode": _persistence,
    "nvmlDeviceGetCudaComputeCapability": _compute_capability,
    "nvmlDeviceGetCurrentClocksEventReasons": _reasons,
    "nvmlDeviceGetCurrentClocksThrottleReasons": _reasons,
    "nvmlDeviceGetSupportedClocksEventReasons": _supported_reasons,
    "nvmlDeviceGetSupportedClocksThrottleReasons": _supported_reasons,
    "nvmlDeviceGetViolationStatus": _violation,
    "nvmlDeviceGetTotalEccErrors": _ecc_errors,
    "nvmlDeviceGetRemappedRows": _remapped_rows,
    "nvmlDeviceGetNvLinkState": _not_supported,
}

ACTIONS: Mapping[str, Callable[..., int | None]] = {
    "nvmlDeviceSetPersistenceMode": _set_persistence,
    "nvmlDeviceSetGpuLockedClocks": _lock_clocks,
    "nvmlDeviceResetGpuLockedClocks": _unlock_clocks,
}
