"""The simulated library under pynvml's own wrappers."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pynvml
import pytest

from harness import gpu
from harness.gpu import SimulatedDevice
from harness.gpu.tenants import Claim

GIB = 1024**3


@pytest.fixture
def path(tmp_path: Path) -> Path:
    gpu.create(tmp_path / "gpu", device_count=2, time_scale=600)
    return tmp_path / "gpu"


@pytest.fixture
def device(path: Path) -> Iterator[SimulatedDevice]:
    with gpu.installed(path):
        yield SimulatedDevice(path, 0)


@pytest.fixture
def handle(device: SimulatedDevice) -> Any:
    return pynvml.nvmlDeviceGetHandleByIndex(0)


def test_devices_are_found_by_number_uuid_and_bus(handle: Any) -> None:
    assert pynvml.nvmlDeviceGetCount() == 2
    uuid = pynvml.nvmlDeviceGetUUID(handle)
    assert re.fullmatch(r"GPU-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", uuid)
    pci = pynvml.nvmlDeviceGetPciInfo(handle)
    assert (pci.busId, pci.busIdLegacy) == ("00000000:01:00.0", "0000:01:00.0")
    for found in (pynvml.nvmlDeviceGetHandleByUUID(uuid), pynvml.nvmlDeviceGetHandleByPciBusId(pci.busId)):
        assert pynvml.nvmlDeviceGetIndex(found) == 0
    other = pynvml.nvmlDeviceGetHandleByIndex(1)
    assert pynvml.nvmlDeviceGetIndex(other) == 1
    assert pynvml.nvmlDeviceGetUUID(other) != uuid
    assert pynvml.nvmlDeviceGetSerial(other) != pynvml.nvmlDeviceGetSerial(handle)


def test_devices_that_are_not_there_are_not_found(device: SimulatedDevice) -> None:
    with pytest.raises(pynvml.NVMLError_InvalidArgument):
        pynvml.nvmlDeviceGetHandleByIndex(2)
    with pytest.raises(pynvml.NVMLError_NotFound):
        pynvml.nvmlDeviceGetHandleByUUID("GPU-00000000-0000-0000-0000-000000000000")
    with pytest.raises(pynvml.NVMLError_NotFound):
        pynvml.nvmlDeviceGetHandleByPciBusId("00000000:09:00.0")


def test_the_system_tells_its_versions(device: SimulatedDevice) -> None:
    assert pynvml.nvmlSystemGetDriverVersion().count(".") == 2
    assert pynvml.nvmlSystemGetNVMLVersion().endswith(pynvml.nvmlSystemGetDriverVersion())
    assert pynvml.nvmlSystemGetCudaDriverVersion() == pynvml.nvmlSystemGetCudaDriverVersion_v2() == 12060
    assert pynvml.nvmlErrorString(pynvml.NVML_ERROR_GPU_IS_LOST) == str(pynvml.NVMLError(15))


def test_both_versions_of_memory_info_add_up(device: SimulatedDevice, handle: Any, path: Path) -> None:
    claim = Claim(str(path), name="trainer", memory_bytes=10 * GIB)
    first = pynvml.nvmlDeviceGetMemoryInfo(handle)
    second = pynvml.nvmlDeviceGetMemoryInfo(handle, version=pynvml.nvmlMemory_v2)
    claim.close()
    assert first.total == second.total == 80 * GIB
    assert second.used == 10 * GIB
    assert second.reserved > 0
    assert second.used + second.reserved + second.free == second.total
    assert first.used == second.used + second.reserved
    assert first.used + first.free == first.total
    with pytest.raises(pynvml.NVMLError_ArgumentVersionMismatch):
        pynvml.nvmlDeviceGetMemoryInfo(handle, version=0x03000028)


def test_figures_of_an_idle_device(handle: Any) -> None:
    assert "H100" in pynvml.nvmlDeviceGetName(handle)
    assert "simulated" in pynvml.nvmlDeviceGetName(handle)
    rates = pynvml.nvmlDeviceGetUtilizationRates(handle)
    assert (rates.gpu, rates.memory) == (0, 0)
    assert pynvml.nvmlDeviceGetEncoderUtilization(handle)[0] == 0
    assert pynvml.nvmlDeviceGetDecoderUtilization(handle)[0] == 0
    assert pynvml.nvmlDeviceGetPowerUsage(handle) == 70_000
    assert pynvml.nvmlDeviceGetEnforcedPowerLimit(handle) == 700_000
    assert pynvml.nvmlDeviceGetPowerManagementLimit(handle) == 700_000
    assert pynvml.nvmlDeviceGetPerformanceState(handle) == 0
    assert pynvml.nvmlDeviceGetCudaComputeCapability(handle) == (9, 0)
    assert pynvml.nvmlDeviceGetMigMode(handle) == [0, 0]
    assert pynvml.nvmlDeviceGetComputeMode(handle) == pynvml.NVML_COMPUTEMODE_DEFAULT
    assert pynvml.nvmlDeviceGetRemappedRows(handle) == (0, 0, 0, 0)
    ecc = (pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, pynvml.NVML_VOLATILE_ECC)
    assert pynvml.nvmlDeviceGetTotalEccErrors(handle, *ecc) == 0
    assert pynvml.nvmlDeviceGetMaxClockInfo(handle, pynvml.NVML_CLOCK_SM) == 1980
    assert pynvml.nvmlDeviceGetMaxClockInfo(handle, pynvml.NVML_CLOCK_MEM) == 2619
    assert pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_GRAPHICS) == 345


def test_both_calls_for_the_temperature_agree(device: SimulatedDevice, handle: Any) -> None:
    sensor = pynvml.NVML_TEMPERATURE_GPU
    assert pynvml.nvmlDeviceGetTemperature(handle, sensor) == 33
    assert pynvml.nvmlDeviceGetTemperatureV(handle, sensor) == 33
    with pytest.raises(pynvml.NVMLError_InvalidArgument):
        pynvml.nvmlDeviceGetTemperature(handle, 7)
    slowdown = pynvml.nvmlDeviceGetTemperatureThreshold(handle, pynvml.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN)
    shutdown = pynvml.nvmlDeviceGetTemperatureThreshold(handle, pynvml.NVML_TEMPERATURE_THRESHOLD_SHUTDOWN)
    assert (slowdown, shutdown) == (90, 95)


@pytest.mark.parametrize(
    "call",
    [
        pynvml.nvmlDeviceGetFanSpeed,
        lambda handle: pynvml.nvmlDeviceGetNvLinkState(handle, 0),
        lambda handle: pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_VIDEO),
        lambda handle: pynvml.nvmlDeviceGetTemperatureThreshold(handle, 4),
        lambda handle: pynvml.nvmlDeviceGetViolationStatus(handle, pynvml.NVML_PERF_POLICY_RELIABILITY),
    ],
)
def test_what_the_board_does_not_have_is_not_supported(handle: Any, call: Callable[[Any], Any]) -> None:
    with pytest.raises(pynvml.NVMLError_NotSupported):
        call(handle)


def test_an_unknown_function_is_function_not_found(handle: Any) -> None:
    with pytest.raises(pynvml.NVMLError_FunctionNotFound):
        pynvml.nvmlDeviceGetBoardId(handle)


def test_a_throttle_shows_in_clocks_reasons_and_violations(device: SimulatedDevice, handle: Any) -> None:
    before = pynvml.nvmlDeviceGetViolationStatus(handle, pynvml.NVML_PERF_POLICY_THERMAL)
    device.throttle(300, "thermal")
    assert pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_SM) == 300
    expected = pynvml.nvmlClocksEventReasonSwThermalSlowdown
    assert pynvml.nvmlDeviceGetCurrentClocksEventReasons(handle) == expected
    assert pynvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle) == expected
    assert pynvml.nvmlDeviceGetSupportedClocksEventReasons(handle) & expected
    after = pynvml.nvmlDeviceGetViolationStatus(handle, pynvml.NVML_PERF_POLICY_THERMAL)
    assert after.violationTime > before.violationTime == 0
    assert after.referenceTime > before.referenceTime


def test_processes_of_this_pid_namespace_are_listed(path: Path, handle: Any) -> None:
    assert pynvml.nvmlDeviceGetComputeRunningProcesses(handle) == []
    claim = Claim(str(path), name="trainer", memory_bytes=GIB)
    listed = pynvml.nvmlDeviceGetComputeRunningProcesses(handle)
    claim.close()
    assert [(process.pid, process.usedGpuMemory) for process in listed] == [(os.getpid(), GIB)]
    assert pynvml.nvmlDeviceGetGraphicsRunningProcesses(handle) == []


def test_processes_of_another_pid_namespace_hold_memory_but_are_not_listed(path: Path, handle: Any) -> None:
    claim = Claim(str(path), name="trainer", memory_bytes=GIB)
    claim._tenant.pid_namespace += 1
    listed = pynvml.nvmlDeviceGetComputeRunningProcesses(handle)
    used = pynvml.nvmlDeviceGetMemoryInfo(handle, version=pynvml.nvmlMemory_v2).used
    claim.close()
    assert (listed, used) == ([], GIB)


def test_persistence_and_locked_clocks_can_be_set(device: SimulatedDevice, handle: Any) -> None:
    pynvml.nvmlDeviceSetPersistenceMode(handle, 0)
    assert pynvml.nvmlDeviceGetPersistenceMode(handle) == 0
    pynvml.nvmlDeviceSetPersistenceMode(handle, 1)
    assert pynvml.nvmlDeviceGetPersistenceMode(handle) == 1
    pynvml.nvmlDeviceSetGpuLockedClocks(handle, 210, 1200)
    assert device.reading().sm_clock_limit_mhz == 1200
    pynvml.nvmlDeviceResetGpuLockedClocks(handle)
    assert device.reading().sm_clock_limit_mhz == 1980


def test_a_lost_device_answers_lost_to_everything_and_the_other_goes_on(device: SimulatedDevice, handle: Any) -> None:
    other = pynvml.nvmlDeviceGetHandleByIndex(1)
    device.lose()
    for call in (
        pynvml.nvmlDeviceGetName,
        pynvml.nvmlDeviceGetUtilizationRates,
        pynvml.nvmlDeviceGetPowerUsage,
        pynvml.nvmlDeviceGetFanSpeed,
        pynvml.nvmlDeviceResetGpuLockedClocks,
        lambda _: pynvml.nvmlDeviceGetHandleByIndex(0),
        lambda lost: pynvml.nvmlDeviceSetPersistenceMode(lost, 1),
    ):
        with pytest.raises(pynvml.NVMLError_GpuIsLost):
            call(handle)
    assert pynvml.nvmlDeviceGetCount() == 2
    assert pynvml.nvmlDeviceGetPowerUsage(other) == 70_000
    device.restore()
    assert pynvml.nvmlDeviceGetPowerUsage(handle) == 70_000


def test_before_init_and_after_shutdown_nothing_answers(path: Path) -> None:
    gpu.install(path)
    try:
        with pytest.raises(pynvml.NVMLError_Uninitialized):
            pynvml.nvmlDeviceGetCount()
        pynvml.nvmlInit()
        assert pynvml.nvmlDeviceGetCount() == 2
        pynvml.nvmlShutdown()
        with pytest.raises(pynvml.NVMLError_Uninitialized):
            pynvml.nvmlDeviceGetCount()
    finally:
        gpu.uninstall()


def test_uninstalled_the_real_library_is_asked_again(path: Path) -> None:
    with gpu.installed(path):
        assert pynvml.nvmlDeviceGetCount() == 2
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return  # no driver here: not the simulated one either
    assert "simulated" not in pynvml.nvmlDeviceGetName(pynvml.nvmlDeviceGetHandleByIndex(0))


def test_connect_says_that_it_is_simulated(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMULATED_GPU", str(path))
    try:
        connection = gpu.connect()
        library = pynvml.nvmlLib
        assert (connection.simulated, connection.device_count) == (True, 2)
        assert connection.name == pynvml.nvmlDeviceGetName(pynvml.nvmlDeviceGetHandleByIndex(0))
        gpu.connect()
        assert pynvml.nvmlLib is library
        SimulatedDevice(path, 0).lose()
        assert gpu.connect().name is None
        gpu.create(path)
        assert gpu.connect().device_count == 1
    finally:
        gpu.uninstall()


def test_connect_without_any_gpu_names_the_cause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMULATED_GPU", str(tmp_path / "nowhere"))
    with pytest.raises(gpu.GpuUnavailable, match="nowhere") as missing:
        gpu.connect()
    assert isinstance(missing.value.__cause__, FileNotFoundError)
    monkeypatch.delenv("SIMULATED_GPU")
    try:
        connection = gpu.connect()
    except gpu.GpuUnavailable as unavailable:
        cause = unavailable.__cause__
    else:
        pynvml.nvmlShutdown()
        assert not connection.simulated
        return
    assert isinstance(cause, pynvml.NVMLError)
