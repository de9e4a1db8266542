"""A tenant's work takes device time, fails with the device, and does nothing where nothing is simulated."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness import gpu
from harness.gpu import SimulatedDevice, Tenant

GIB = 1024**3


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimulatedDevice:
    gpu.create(tmp_path / "gpu")
    monkeypatch.setenv("SIMULATED_GPU", str(tmp_path / "gpu"))
    return SimulatedDevice(tmp_path / "gpu", 0)


@pytest.fixture
def tenant(device: SimulatedDevice) -> Iterator[Tenant]:
    with gpu.tenant(name="server", memory_bytes=GIB) as tenant:
        yield tenant


def seconds_of_run(tenant: Tenant, device_s: float) -> float:
    began_s = time.monotonic()
    tenant.run(device_s)
    return time.monotonic() - began_s


def test_work_takes_its_device_time_and_shows_as_utilization(device: SimulatedDevice, tenant: Tenant) -> None:
    assert seconds_of_run(tenant, 0.12) >= 0.12
    assert 10 < device.reading().utilization_percent < 100


def test_work_takes_longer_on_a_throttled_device(device: SimulatedDevice, tenant: Tenant) -> None:
    device.throttle(495, "thermal")
    assert seconds_of_run(tenant, 0.03) >= 0.12


def test_a_throttle_undone_is_felt_in_the_middle_of_a_run(device: SimulatedDevice, tenant: Tenant) -> None:
    device.throttle(1, "thermal")  # 0.5 s of work would take 16 minutes
    threading.Timer(0.1, device.unthrottle).start()
    assert 0.5 <= seconds_of_run(tenant, 0.5) < 60


def test_runs_side_by_side_do_not_add_up(device: SimulatedDevice, tenant: Tenant) -> None:
    with ThreadPoolExecutor(8) as pool:
        began_s = time.monotonic()
        list(pool.map(tenant.run, [0.2] * 8))
        took_s = time.monotonic() - began_s
    assert 0.2 <= took_s < 8 * 0.2
    assert device.reading().utilization_percent <= 100


def test_asynchronous_runs_leave_the_loop_free(device: SimulatedDevice, tenant: Tenant) -> None:
    async def side_by_side() -> float:
        began_s = time.monotonic()
        await asyncio.gather(*(tenant.run_async(0.1) for _ in range(10)))
        return time.monotonic() - began_s

    assert 0.1 <= asyncio.run(side_by_side()) < 10 * 0.1
    assert device.reading().utilization_percent > 5


def test_work_on_a_lost_device_fails_and_works_again_after(device: SimulatedDevice, tenant: Tenant) -> None:
    device.lose()
    with pytest.raises(gpu.GpuLostError):
        tenant.run(0.01)
    with pytest.raises(gpu.GpuLostError):
        asyncio.run(tenant.run_async(0.01))
    with pytest.raises(gpu.GpuLostError):
        tenant.set_memory(2 * GIB)
    device.restore()
    tenant.run(0.01)


def test_a_device_lost_in_the_middle_of_a_run_ends_it(device: SimulatedDevice, tenant: Tenant) -> None:
    threading.Timer(0.1, device.lose).start()
    began_s = time.monotonic()
    with pytest.raises(gpu.GpuLostError):
        tenant.run(600)
    assert time.monotonic() - began_s < 60


def test_memory_follows_the_tenant_until_it_closes(device: SimulatedDevice, tenant: Tenant) -> None:
    assert device.reading().memory_used_bytes == GIB
    tenant.set_memory(3 * GIB)
    assert device.reading().memory_used_bytes == 3 * GIB
    tenant.close()
    assert device.reading().memory_used_bytes == 0
    tenant.close()  # closing again changes nothing


def test_without_a_simulated_device_a_tenant_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SIMULATED_GPU", raising=False)
    with gpu.tenant(name="server", memory_bytes=GIB) as tenant:
        assert seconds_of_run(tenant, 3600) < 60
        asyncio.run(tenant.run_async(3600))
        tenant.set_memory(2 * GIB)


def test_a_tenant_of_a_missing_device_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMULATED_GPU", str(tmp_path / "nowhere"))
    with pytest.raises(gpu.GpuUnavailable, match="nowhere"):
        gpu.tenant(name="server", memory_bytes=GIB)
