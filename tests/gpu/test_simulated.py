"""Unmodified programs on the simulated device."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness import gpu
from harness.clock import wait_until
from harness.gpu import SimulatedDevice
from harness.gpu.tenants import Claim

GIB = 1024**3


@pytest.fixture
def path(tmp_path: Path) -> Path:
    gpu.create(tmp_path / "gpu", time_scale=600)
    return tmp_path / "gpu"


def launch(*arguments: str, state: Path | None = None) -> subprocess.CompletedProcess[str]:
    # Console scripts of the interpreter's own environment are found first, whether or not it is activated.
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    environment.pop("SIMULATED_GPU", None)
    if state:
        environment["SIMULATED_GPU"] = str(state)
    return subprocess.run(
        [sys.executable, "-m", "harness.gpu.simulated", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


def gpustat(path: Path) -> dict[str, Any]:
    finished = launch("--", "gpustat", "--json", state=path)
    assert finished.returncode == 0, finished.stderr
    report: dict[str, Any] = json.loads(finished.stdout)["gpus"][0]
    return report


def test_gpustat_sees_an_idle_device(path: Path) -> None:
    seen = gpustat(path)
    assert seen["temperature.gpu"] == 33
    assert seen["power.draw"] == 70
    assert (seen["memory.used"], seen["memory.total"]) == (0, 80 * 1024)
    assert seen["processes"] == []
    assert seen["uuid"].startswith("GPU-")


def test_gpustat_sees_heat_memory_and_the_process(path: Path) -> None:
    device = SimulatedDevice(path, 0)
    device.lose_cooling(86)
    wait_until(lambda: device.reading().temperature_celsius > 86, what="heat", timeout_s=5)
    claim = Claim(str(path), name="trainer", memory_bytes=20 * GIB)
    seen = gpustat(path)
    claim.close()
    assert 86 <= seen["temperature.gpu"] <= 88
    assert seen["memory.used"] == 20 * 1024
    assert [process["pid"] for process in seen["processes"]] == [os.getpid()]


def test_gpustat_reports_a_lost_device_as_it_does(path: Path) -> None:
    SimulatedDevice(path, 0).lose()
    finished = launch("--state", str(path), "--", "gpustat", "--no-color")
    assert finished.returncode == 0, finished.stderr
    assert "GPU is lost" in finished.stdout


def test_a_module_runs_as_well(path: Path) -> None:
    assert "(simulated)" in launch("--", "-m", "gpustat", state=path).stdout


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--"], "which program"),
        (["--", "no-such-program"], "neither on PATH nor a file"),
        (["--state", "/nowhere", "--", "gpustat"], "/nowhere: No such file"),
    ],
)
def test_what_cannot_be_run_is_said(path: Path, arguments: list[str], problem: str) -> None:
    finished = launch(*arguments, state=path)
    assert finished.returncode == 2
    assert problem in finished.stderr


def test_without_a_state_file_it_says_how_to_give_one() -> None:
    finished = launch("--", "gpustat")
    assert finished.returncode == 2
    assert "SIMULATED_GPU" in finished.stderr
