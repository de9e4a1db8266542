"""XIDs as NVML's events, and the watch on them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pynvml
import pytest

from harness import gpu
from harness.clock import wait_until
from harness.gpu import SimulatedDevice
from harness.gpu.xids import XidWatch

XID = pynvml.nvmlEventTypeXidCriticalError


@pytest.fixture
def devices(tmp_path: Path) -> Iterator[tuple[SimulatedDevice, SimulatedDevice]]:
    gpu.create(tmp_path / "gpu", device_count=2)
    with gpu.installed(tmp_path / "gpu"):
        yield SimulatedDevice(tmp_path / "gpu", 0), SimulatedDevice(tmp_path / "gpu", 1)


def registered(*indexes: int) -> Any:
    event_set = pynvml.nvmlEventSetCreate()
    for index in indexes:
        pynvml.nvmlDeviceRegisterEvents(pynvml.nvmlDeviceGetHandleByIndex(index), XID, event_set)
    return event_set


def next_xid(event_set: Any, timeout_ms: int = 0) -> tuple[int, int]:
    event = pynvml.nvmlEventSetWait_v2(event_set, timeout_ms)
    assert event.eventType == XID
    return pynvml.nvmlDeviceGetIndex(event.device), event.eventData


def test_every_waiter_is_told_of_every_xid_once(devices: tuple[SimulatedDevice, SimulatedDevice]) -> None:
    first, second = registered(0), registered(0, 1)
    devices[0].raise_xid(48)
    devices[0].raise_xid(48)
    assert [next_xid(first), next_xid(first)] == [(0, 48), (0, 48)]
    assert [next_xid(second), next_xid(second)] == [(0, 48), (0, 48)]
    for event_set in (first, second):
        with pytest.raises(pynvml.NVMLError_Timeout):
            next_xid(event_set)
        pynvml.nvmlEventSetFree(event_set)


def test_only_registered_devices_and_later_xids_are_told(
    devices: tuple[SimulatedDevice, SimulatedDevice],
) -> None:
    devices[1].raise_xid(31)
    event_set = registered(1)
    devices[0].raise_xid(48)
    with pytest.raises(pynvml.NVMLError_Timeout):
        next_xid(event_set)
    devices[1].raise_xid(63)
    assert next_xid(event_set) == (1, 63)


def test_a_waiting_thread_is_woken(devices: tuple[SimulatedDevice, SimulatedDevice]) -> None:
    event_set = registered(0)
    threading.Timer(0.05, devices[0].raise_xid, [79]).start()
    assert next_xid(event_set, timeout_ms=20_000) == (0, 79)


def test_a_lost_device_ends_the_wait_after_its_last_xid(
    devices: tuple[SimulatedDevice, SimulatedDevice],
) -> None:
    event_set = registered(0)
    devices[0].raise_xid(79)
    devices[0].lose()
    event = pynvml.nvmlEventSetWait_v2(event_set, 0)
    assert event.eventData == 79
    with pytest.raises(pynvml.NVMLError_GpuIsLost):
        next_xid(event_set, timeout_ms=20_000)
    with pytest.raises(pynvml.NVMLError_GpuIsLost):
        registered(0)


def test_other_event_types_and_freed_sets_are_refused(
    devices: tuple[SimulatedDevice, SimulatedDevice],
) -> None:
    handle = pynvml.nvmlDeviceGetHandleByIndex(0)
    assert pynvml.nvmlDeviceGetSupportedEventTypes(handle) == XID
    event_set = pynvml.nvmlEventSetCreate()
    with pytest.raises(pynvml.NVMLError_NotSupported):
        pynvml.nvmlDeviceRegisterEvents(handle, pynvml.nvmlEventTypeClock, event_set)
    pynvml.nvmlEventSetFree(event_set)
    with pytest.raises(pynvml.NVMLError_InvalidArgument):
        pynvml.nvmlEventSetWait_v2(event_set, 0)
    with pytest.raises(pynvml.NVMLError_InvalidArgument):
        pynvml.nvmlEventSetFree(event_set)


def test_the_watch_tells_repeats_of_all_devices(devices: tuple[SimulatedDevice, SimulatedDevice]) -> None:
    told: queue.Queue[tuple[int, int]] = queue.Queue()
    with XidWatch(lambda index, code: told.put((index, code))) as watch:
        assert watch.wait_until_watching(10)
        for device, code in ((0, 48), (0, 48), (1, 74)):
            devices[device].raise_xid(code)
        assert sorted(told.get(timeout=10) for _ in range(3)) == [(0, 48), (0, 48), (1, 74)]
    devices[0].raise_xid(13)
    assert told.empty()


def test_the_watch_goes_on_with_the_rest_and_takes_a_device_back(
    devices: tuple[SimulatedDevice, SimulatedDevice],
) -> None:
    told: queue.Queue[tuple[int, int]] = queue.Queue()
    with XidWatch(lambda index, code: told.put((index, code))) as watch:
        assert watch.wait_until_watching(10)
        devices[0].lose()

        def seen(index: int) -> bool:
            devices[index].raise_xid(13)
            try:
                return told.get(timeout=0.2)[0] == index
            except queue.Empty:
                return False

        wait_until(lambda: seen(1), what="an XID of the device that is left", timeout_s=10)
        devices[0].restore()
        wait_until(lambda: seen(0), what="an XID of the device that came back", timeout_s=10)
