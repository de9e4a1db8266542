"""The GPU metrics, the sampler and the exporter, over a simulated device."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pynvml
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from harness import gpu
from harness.clock import wait_until
from harness.gpu import SimulatedDevice
from harness.gpu.readout import THROTTLE_REASONS
from harness.gpu.tenants import Claim
from harness.system.telemetry.gpu import KNOWN_XIDS, GpuCollector, GpuSampler
from harness.system.workloads.metrics_server import MetricsServer, process_registry

GIB = 1024**3
LABELS = {
    "gpu_nvml_up": {"gpu_id"},
    "gpu_utilization_percent": {"gpu_id"},
    "gpu_memory_utilization_percent": {"gpu_id"},
    "gpu_memory_used_bytes": {"gpu_id"},
    "gpu_memory_total_bytes": {"gpu_id"},
    "gpu_temperature_celsius": {"gpu_id"},
    "gpu_power_watts": {"gpu_id"},
    "gpu_clock_throttle_reason": {"gpu_id", "reason"},
    "gpu_xid_errors_total": {"gpu_id", "xid"},
}

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    gpu.create(tmp_path / "gpu", device_count=2, time_scale=600)
    # A patch of its own: a test's ``monkeypatch`` is then undone first, and cannot put the library back afterwards.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIMULATED_GPU", str(tmp_path / "gpu"))
        yield tmp_path / "gpu"
    gpu.uninstall()
    assert pynvml.nvmlLib is None or not hasattr(pynvml.nvmlLib, "file"), "a simulated library was left behind"


@pytest.fixture
def device(path: Path) -> SimulatedDevice:
    return SimulatedDevice(path, 0)


@pytest.fixture
def registry(path: Path) -> Iterator[CollectorRegistry]:
    registry = CollectorRegistry()
    with GpuCollector() as collector:
        registry.register(collector)
        yield registry


def parse(text: str) -> Series:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def scrape(registry: CollectorRegistry) -> Series:
    return parse(generate_latest(registry).decode())


def value(series: Series, name: str, **labels: str) -> float | None:
    return series.get((name, frozenset(labels.items())))


def of_device(series: Series, gpu_id: str) -> set[str]:
    return {name for name, labels in series if ("gpu_id", gpu_id) in labels}


def test_every_metric_is_there_for_every_device_with_its_labels_and_no_other(
    registry: CollectorRegistry,
) -> None:
    series = scrape(registry)
    assert {name: {label for label, _ in labels} for name, labels in series} == LABELS
    assert of_device(series, "0") == of_device(series, "1") == set(LABELS)


def test_types_are_those_of_the_specification(registry: CollectorRegistry) -> None:
    families = text_string_to_metric_families(generate_latest(registry).decode())
    types = {family.name: family.type for family in families}
    assert types.pop("gpu_xid_errors") == "counter"
    assert set(types.values()) == {"gauge"}


def test_values_are_the_devices(registry: CollectorRegistry, path: Path, device: SimulatedDevice) -> None:
    device.lose_cooling(86)
    claim = Claim(str(path), name="trainer", memory_bytes=20 * GIB)
    wait_until(lambda: device.reading().temperature_celsius > 87, what="heat", timeout_s=5)
    series = scrape(registry)
    claim.close()
    assert value(series, "gpu_nvml_up", gpu_id="0") == 1
    assert value(series, "gpu_temperature_celsius", gpu_id="0") == 87
    assert value(series, "gpu_temperature_celsius", gpu_id="1") == 33
    assert value(series, "gpu_power_watts", gpu_id="0") == 70
    assert value(series, "gpu_memory_used_bytes", gpu_id="0") == 20 * GIB
    assert value(series, "gpu_memory_total_bytes", gpu_id="0") == 80 * GIB
    assert value(series, "gpu_utilization_percent", gpu_id="0") == 0


@pytest.mark.parametrize(
    ("fault", "holding"),
    [
        ("thermal", {"thermal"}),
        ("power", {"power"}),
        ("hw_slowdown", {"hw_slowdown"}),
        ("hw_power_brake", {"hw_slowdown", "hw_power_brake"}),
    ],
)
def test_each_throttle_reason_is_0_or_1_and_always_there(
    registry: CollectorRegistry, device: SimulatedDevice, fault: str, holding: set[str]
) -> None:
    def reasons() -> dict[str, float]:
        return {
            dict(labels)["reason"]: held
            for (name, labels), held in scrape(registry).items()
            if name == "gpu_clock_throttle_reason" and ("gpu_id", "0") in labels
        }

    assert reasons() == dict.fromkeys(THROTTLE_REASONS, 0.0)
    device.throttle(500, fault)
    assert reasons() == {reason: float(reason in holding) for reason in THROTTLE_REASONS}
    device.unthrottle()
    assert reasons() == dict.fromkeys(THROTTLE_REASONS, 0.0)


def test_locked_clocks_are_not_reported_as_throttling(registry: CollectorRegistry, device: SimulatedDevice) -> None:
    device.lock_clocks(1000)
    series = scrape(registry)
    assert not any(held for (name, _), held in series.items() if name == "gpu_clock_throttle_reason")


def test_xids_are_counted_from_zero_and_repeats_count(registry: CollectorRegistry, device: SimulatedDevice) -> None:
    assert {value(scrape(registry), "gpu_xid_errors_total", gpu_id="0", xid=str(xid)) for xid in KNOWN_XIDS} == {0}
    for code in (48, 48, 345):
        device.raise_xid(code)

    def counted(xid: str, gpu_id: str = "0") -> float | None:
        return value(scrape(registry), "gpu_xid_errors_total", gpu_id=gpu_id, xid=xid)

    wait_until(lambda: counted("345") == 1, what="the last XID", timeout_s=10)
    assert (counted("48"), counted("48", "1"), counted("345", "1")) == (2, 0, None)


def test_a_lost_device_is_down_has_no_readings_and_comes_back(
    registry: CollectorRegistry, device: SimulatedDevice
) -> None:
    device.lose()
    series = scrape(registry)
    assert value(series, "gpu_nvml_up", gpu_id="0") == 0
    assert of_device(series, "0") == {"gpu_nvml_up", "gpu_xid_errors_total"}
    assert of_device(series, "1") == set(LABELS)
    device.restore()
    assert of_device(scrape(registry), "0") == set(LABELS)


class Deaf:
    """A library in which some functions fail with one status, in front of another library."""

    def __init__(self, library: object, status: int, *names: str) -> None:
        self.library, self.status, self.names = library, status, names

    def __getattr__(self, name: str) -> object:
        return (lambda *_: self.status) if name in self.names else getattr(self.library, name)


def deafen(monkeypatch: pytest.MonkeyPatch, status: int, *names: str) -> None:
    monkeypatch.setattr(pynvml, "nvmlLib", Deaf(pynvml.nvmlLib, status, *names))
    pynvml._nvmlGetFunctionPointer_cache.clear()


@pytest.mark.parametrize("status", [pynvml.NVML_ERROR_NOT_SUPPORTED, pynvml.NVML_ERROR_UNKNOWN])
def test_what_cannot_be_read_is_absent_and_the_rest_is_there(
    registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    deafen(monkeypatch, status, "nvmlDeviceGetTemperature", "nvmlDeviceGetPowerUsage")
    series = scrape(registry)
    assert of_device(series, "0") == set(LABELS) - {"gpu_temperature_celsius", "gpu_power_watts"}
    assert value(series, "gpu_nvml_up", gpu_id="0") == 1


def test_a_driver_without_the_newer_calls_is_read_by_the_older_ones(
    registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = ("nvmlDeviceGetMemoryInfo_v2", "nvmlDeviceGetCurrentClocksEventReasons")
    deafen(monkeypatch, pynvml.NVML_ERROR_FUNCTION_NOT_FOUND, *newer)
    assert of_device(scrape(registry), "0") == set(LABELS)


def test_a_device_of_which_nothing_can_be_read_is_down(
    registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = ("UtilizationRates", "MemoryInfo", "MemoryInfo_v2", "Temperature", "PowerUsage")
    reasons = ("CurrentClocksEventReasons", "CurrentClocksThrottleReasons")
    deafen(monkeypatch, pynvml.NVML_ERROR_UNKNOWN, *(f"nvmlDeviceGet{call}" for call in calls + reasons))
    assert value(scrape(registry), "gpu_nvml_up", gpu_id="0") == 0


def test_nvml_lost_as_a_whole_is_initialised_again_at_the_next_scrape(registry: CollectorRegistry) -> None:
    scrape(registry)
    while pynvml._nvmlLib_refcount:
        pynvml.nvmlShutdown()
    assert of_device(scrape(registry), "0") == set(LABELS)


def test_while_nvml_is_gone_every_device_is_down(
    registry: CollectorRegistry, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu.uninstall()
    monkeypatch.setenv("SIMULATED_GPU", str(path) + ".gone")
    series = scrape(registry)
    assert {name for name, _ in series} == {"gpu_nvml_up", "gpu_xid_errors_total"}
    assert (value(series, "gpu_nvml_up", gpu_id="0"), value(series, "gpu_nvml_up", gpu_id="1")) == (0, 0)
    monkeypatch.setenv("SIMULATED_GPU", str(path))
    assert of_device(scrape(registry), "1") == set(LABELS)


def test_the_sampler_keeps_the_newest_samples_of_every_device(device: SimulatedDevice) -> None:
    with GpuSampler(interval_s=0.01, max_samples=8) as sampler:
        wait_until(lambda: len(sampler.samples()) == 8, what="samples", timeout_s=10)
        device.lose()
        device.take_memory(0.5)
        wait_until(lambda: sampler.samples()[-2].power_watts is None, what="a lost device", timeout_s=10)
        device.restore()
        wait_until(lambda: sampler.samples()[-2].power_watts == 70, what="the device again", timeout_s=10)
    samples = sampler.samples()
    assert len(samples) == 8
    assert [sample.gpu_id for sample in samples[-2:]] == ["0", "1"]
    newest = samples[-2]
    assert newest.memory_used_bytes is not None
    assert newest.memory_used_bytes >= 40 * GIB
    assert newest.memory_free_bytes is not None
    assert (newest.utilization_percent, newest.temperature_celsius) == (0, 33)
    times = [sample.at_unix_s for sample in samples]
    assert times == sorted(times)


@pytest.mark.parametrize(("interval_s", "max_samples"), [(0, 10), (-1, 10), (1, 0)])
def test_a_sampler_that_cannot_be_is_refused(path: Path, interval_s: float, max_samples: int) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        GpuSampler(interval_s=interval_s, max_samples=max_samples)


def test_without_a_gpu_the_instruments_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMULATED_GPU", str(tmp_path / "nowhere"))
    for instrument in (GpuCollector, GpuSampler):
        with pytest.raises(gpu.GpuUnavailable, match="nowhere"):
            instrument()


def fetch(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""


@pytest.fixture
def url(path: Path) -> Iterator[str]:
    collector = GpuCollector()
    registry = process_registry()
    registry.register(collector)
    with collector, MetricsServer("127.0.0.1", 0, registry) as server:
        server.start()
        yield f"http://127.0.0.1:{server.server_port}"


def test_metrics_hold_the_devices_and_the_process(url: str, device: SimulatedDevice) -> None:
    status, text = fetch(f"{url}/metrics")
    names = {name for name, _ in parse(text)}
    assert status == 200
    assert set(LABELS) | {"process_start_time_seconds", "python_info"} <= names
    device.lose()
    status, text = fetch(f"{url}/metrics")
    assert (status, value(parse(text), "gpu_nvml_up", gpu_id="0")) == (200, 0)


def test_health_is_answered_and_other_paths_are_not_found(url: str) -> None:
    assert fetch(f"{url}/healthz") == (200, "ok\n")
    assert fetch(f"{url}/")[0] == 404


def test_idle_connections_do_not_keep_others_from_being_answered(url: str) -> None:
    port = int(url.rsplit(":", 1)[1])
    idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(7)]
    assert fetch(f"{url}/healthz")[0] == 200
    for connection in idle:
        connection.close()


def test_connections_beyond_the_bound_are_closed(url: str) -> None:
    port = int(url.rsplit(":", 1)[1])
    idle = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(9)]
    assert idle[-1].recv(1) == b""
    for connection in idle:
        connection.close()
    wait_until(lambda: fetch(f"{url}/healthz")[0] == 200, what="an answer", timeout_s=10)


def exporter(path: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "harness.system.workloads.gpu_exporter", "--host", "127.0.0.1", *arguments],
        env=os.environ | {"SIMULATED_GPU": str(path)},
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_the_program_serves_until_told_to_end(path: Path, end: signal.Signals) -> None:
    with exporter(path, "--port", "0") as process:
        assert process.stdout is not None
        started = json.loads(process.stdout.readline())
        address = re.fullmatch(r"127\.0\.0\.1:\d+", started["address"])
        assert address is not None
        assert (started["service"], started["simulated"], started["gpus"]) == ("gpu-exporter", True, 2)
        status, text = fetch(f"http://{address[0]}/metrics")
        assert status == 200
        assert "process_start_time_seconds" in text
        process.send_signal(end)
        assert process.wait(timeout=20) == 0
        assert json.loads(process.stdout.read())["message"] == "ending"


def test_without_any_gpu_the_program_says_why_and_ends_with_1(tmp_path: Path) -> None:
    with exporter(tmp_path / "nowhere", "--port", "0") as process:
        out, _ = process.communicate(timeout=20)
    line = json.loads(out)
    assert process.returncode == 1
    assert line["level"] == "error"
    assert "nowhere" in line["error"]


def test_an_address_that_is_taken_ends_it_with_1(path: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        exporter(path, "--port", str(taken.getsockname()[1])) as process,
    ):
        out, _ = process.communicate(timeout=20)
    assert process.returncode == 1
    assert json.loads(out)["message"] == "cannot listen"
