"""Faults in a simulated device and their undoing, seen straight in the state and by other processes."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import gpu
from harness.clock import wait_until
from harness.gpu import SimulatedDevice
from harness.gpu.state import StateFile
from harness.gpu.tenants import Claim

GIB = 1024**3


@pytest.fixture
def path(tmp_path: Path) -> Path:
    gpu.create(tmp_path / "gpu", device_count=2, time_scale=600)
    return tmp_path / "gpu"


@pytest.fixture
def device(path: Path) -> SimulatedDevice:
    return SimulatedDevice(path, 0)


@pytest.fixture
def child(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process with 20 GiB on the device, at work without end."""
    program = (
        "import sys; from harness.gpu.tenants import Claim, Tenant\n"
        "tenant = Tenant(Claim(sys.argv[1], name='trainer', memory_bytes=20 * 1024**3))\n"
        "print('ready', flush=True)\n"
        "tenant.run(1e9)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_new_device_is_idle_and_healthy(device: SimulatedDevice) -> None:
    reading = device.reading()
    assert not reading.lost
    assert reading.utilization_percent == 0
    assert reading.memory_used_bytes == 0
    assert reading.memory_total_bytes == 80 * GIB
    assert reading.temperature_celsius == pytest.approx(33.85)
    assert reading.sm_clock_mhz < reading.sm_clock_limit_mhz == 1980
    assert reading.xid_counts == {}
    assert reading.tenants == ()


def test_cooling_lost_and_restored(device: SimulatedDevice) -> None:
    device.lose_cooling(86)
    wait_until(lambda: device.reading().temperature_celsius > 86, what="heat", timeout_s=5)
    assert device.reading().throttle_mask & ~0x1 == 0
    device.restore_cooling()
    wait_until(lambda: device.reading().temperature_celsius < 40, what="cold", timeout_s=5)


def test_memory_taken_is_at_least_the_fraction_until_released(device: SimulatedDevice) -> None:
    device.take_memory(0.95)
    reading = device.reading()
    assert reading.memory_used_bytes / reading.memory_total_bytes >= 0.95
    device.release_memory()
    assert device.reading().memory_used_bytes == 0


@pytest.mark.parametrize(
    ("reason", "mask"), [("hw_slowdown", 0x8), ("thermal", 0x20), ("power", 0x4), ("hw_power_brake", 0x88)]
)
def test_a_throttle_shows_its_reason_and_clock_until_undone(device: SimulatedDevice, reason: str, mask: int) -> None:
    device.throttle(500, reason)
    assert (device.reading().sm_clock_limit_mhz, device.reading().throttle_mask) == (500, mask)
    device.unthrottle()
    assert (device.reading().sm_clock_limit_mhz, device.reading().throttle_mask) == (1980, 0x1)


def test_locked_clocks_are_a_setting_and_no_throttle(device: SimulatedDevice) -> None:
    device.lock_clocks(1200)
    assert (device.reading().sm_clock_limit_mhz, device.reading().throttle_mask) == (1200, 0x2)
    device.lock_clocks(0)
    assert device.reading().sm_clock_limit_mhz == 1980


def test_xids_are_counted_by_code_and_repeats_count(device: SimulatedDevice) -> None:
    for code in (48, 79, 48):
        device.raise_xid(code)
    assert device.reading().xid_counts == {48: 2, 79: 1}
    assert device.xids_since(1) == (3, (79, 48))


def test_of_more_xids_than_are_kept_the_oldest_are_missing(device: SimulatedDevice) -> None:
    for _ in range(70):
        device.raise_xid(31)
    raised, codes = device.xids_since(0)
    assert (raised, len(codes)) == (70, 64)
    assert device.reading().xid_counts == {31: 70}


def test_faults_of_one_device_leave_the_other_alone(path: Path, device: SimulatedDevice) -> None:
    device.lose()
    device.raise_xid(79)
    assert device.reading().lost
    assert not SimulatedDevice(path, 1).reading().lost
    assert SimulatedDevice(path, 1).reading().xid_counts == {}
    device.restore()
    assert not device.reading().lost


@pytest.mark.parametrize(
    ("call", "argument"),
    [("take_memory", 0), ("take_memory", 1.2), ("lose_cooling", 20), ("raise_xid", 0), ("raise_xid", 512)],
)
def test_a_fault_out_of_range_is_refused_with_the_range(device: SimulatedDevice, call: str, argument: float) -> None:
    with pytest.raises(ValueError, match=r"got .*, need"):
        getattr(device, call)(argument)


def test_an_unknown_throttle_reason_is_refused_with_the_known_ones(device: SimulatedDevice) -> None:
    with pytest.raises(ValueError, match=r"got 'dust', need one of hw_slowdown, thermal"):
        device.throttle(500, "dust")


def test_another_process_is_seen_and_its_work_heats_the_device(
    child: subprocess.Popen[str], device: SimulatedDevice
) -> None:
    wait_until(lambda: device.reading().utilization_percent > 90, what="utilization", timeout_s=10)
    reading = device.reading()
    assert [(tenant.name, tenant.pid) for tenant in reading.tenants] == [("trainer", child.pid)]
    assert reading.memory_used_bytes == 20 * GIB
    assert reading.power_watts > 500
    wait_until(lambda: device.reading().temperature_celsius > 60, what="heat", timeout_s=5)


def test_a_killed_process_leaves_neither_memory_nor_utilization(
    child: subprocess.Popen[str], device: SimulatedDevice
) -> None:
    wait_until(lambda: device.reading().utilization_percent > 20, what="utilization", timeout_s=10)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert device.reading().memory_used_bytes == 0
    wait_until(lambda: device.reading().utilization_percent == 0, what="idle", timeout_s=5)


def test_a_stopped_process_keeps_its_memory_but_works_no_more(
    child: subprocess.Popen[str], device: SimulatedDevice
) -> None:
    child.send_signal(signal.SIGSTOP)
    wait_until(lambda: device.reading().utilization_percent == 0, what="idle", timeout_s=10)
    assert device.reading().memory_used_bytes == 20 * GIB


def test_a_process_stopped_inside_its_critical_section_does_not_stop_the_others(
    path: Path, device: SimulatedDevice
) -> None:
    stuck = StateFile(path)
    with stuck.locked():
        began_s = time.monotonic()
        assert device.reading().memory_total_bytes == 80 * GIB
        passed_over_s = time.monotonic() - began_s
        began_s = time.monotonic()
        device.reading()
        again_s = time.monotonic() - began_s
    assert passed_over_s >= 0.25  # the holder was given its time first
    assert again_s < passed_over_s
    assert device.reading() is not None


def test_a_slot_is_free_again_for_the_next_process(path: Path, device: SimulatedDevice) -> None:
    for number in range(70):
        Claim(str(path), name=f"job-{number}", memory_bytes=GIB).close()
    assert device.reading().tenants == ()


def test_a_forgotten_slot_of_a_living_process_is_not_taken(path: Path, device: SimulatedDevice) -> None:
    first = Claim(str(path), name="first", memory_bytes=GIB)
    second = Claim(str(path), name="second", memory_bytes=2 * GIB)
    assert [tenant.name for tenant in device.reading().tenants] == ["first", "second"]
    first.close()
    assert [tenant.name for tenant in device.reading().tenants] == ["second"]
    second.close()


@pytest.mark.parametrize("content", [b"", b"short", b"\0" * 100_000])
def test_a_file_that_is_no_state_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "other").write_bytes(content)
    with pytest.raises(gpu.GpuUnavailable, match="other"):
        SimulatedDevice(tmp_path / "other", 0)


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(gpu.GpuUnavailable, match=r"nowhere: No such file"):
        SimulatedDevice(tmp_path / "nowhere", 0)


@pytest.mark.parametrize(("count", "scale"), [(0, 1.0), (17, 1.0), (1, 0.0), (1, float("inf"))])
def test_a_machine_that_cannot_be_is_refused(tmp_path: Path, count: int, scale: float) -> None:
    with pytest.raises(ValueError, match="need"):
        gpu.create(tmp_path / "gpu", device_count=count, time_scale=scale)
    assert not (tmp_path / "gpu").exists()


def test_the_system_has_the_locks_the_state_relies_on() -> None:
    assert hasattr(fcntl, "F_OFD_SETLK")
    assert os.path.exists("/proc/self/ns/pid")
