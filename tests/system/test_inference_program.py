"""The inference program as a pod runs it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness import gpu
from harness.clock import wait_until

pytestmark = pytest.mark.e2e


class Program:
    """The service in a process of its own, on a simulated device."""

    def __init__(self, directory: Path, *arguments: str) -> None:
        self.log_path = directory / "log"
        gpu.create(directory / "gpu", device_count=1, time_scale=60)
        environment = {
            **os.environ,
            "TIME_SCALE": "60",
            "MODEL_BACKEND": "numpy",
            "SIMULATED_GPU": str(directory / "gpu"),
        }
        command = [sys.executable, "-m", "harness.system.workloads.inference", "--host", "127.0.0.1", "--port", "0"]
        command += ["--weights", str(directory / "weights.npz"), *arguments]
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)

    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.log_path.read_text().splitlines()]

    def url(self) -> str:
        def address() -> str | None:
            assert self.process.poll() is None, self.log_path.read_text()
            found = re.search(r"http://127\.0\.0\.1:[0-9]+", self.log_path.read_text())
            return found[0] if found else None

        return wait_until(address, what="the service listens", timeout_s=20)

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(self.url() + path, timeout=10) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    program = Program(tmp_path)
    yield program
    program.process.kill()
    program.process.wait()


def test_it_serves_from_start_to_sigterm(program: Program, tmp_path: Path) -> None:
    wait_until(lambda: program.get("/readyz")[0] == 200, what="ready", timeout_s=20)
    status, body = program.get("/v1/models/demo-lm/generate?prompt=alerts+are&max_tokens=4")
    assert (status, json.loads(body)["token_count"]) == (200, 4)
    metrics = program.get("/metrics")[1]
    assert 'inference_requests_total{model_name="demo-lm",status="success"} 1.0' in metrics
    assert 'inference_requests_total{model_name="demo-lm",status="error"} 0.0' in metrics
    for name in ("process_start_time_seconds", "inference_memory_usage_bytes", 'model_accuracy{model_name="demo-lm"}'):
        assert re.search(rf"^{re.escape(name)} [0-9]", metrics, re.MULTILINE), name
    gpu.SimulatedDevice(tmp_path / "gpu", 0).lose()
    assert program.get("/v1/models/demo-lm/generate?prompt=x")[0] == 500
    program.process.send_signal(signal.SIGTERM)
    assert program.process.wait(timeout=5) == 0
    assert {line["service"] for line in program.lines()} == {"inference"}
    (error,) = [line for line in program.lines() if line["level"] == "error"]
    assert error["error_type"] == "GpuLostError"


def test_a_request_the_end_cuts_off_is_told_so(program: Program, tmp_path: Path) -> None:
    wait_until(lambda: program.get("/readyz")[0] == 200, what="ready", timeout_s=20)
    gpu.SimulatedDevice(tmp_path / "gpu", 0).throttle(99, "hw_slowdown")
    with ThreadPoolExecutor() as pool:
        cut_off = pool.submit(program.get, "/v1/models/demo-lm/generate?prompt=x&max_tokens=256")
        active = "\ninference_active_connections 1.0\n"
        wait_until(lambda: active in program.get("/metrics")[1], what="the request is under way", timeout_s=10)
        program.process.send_signal(signal.SIGTERM)
        assert program.process.wait(timeout=5) == 0
        status, body = cut_off.result(timeout=5)
    assert (status, json.loads(body)["error"]) == (503, "service ending")
    assert [line for line in program.lines() if "traceback" in line] == []


def test_an_address_it_cannot_have_ends_it_with_one(tmp_path: Path) -> None:
    program = Program(tmp_path, "--host", "192.0.2.1")
    assert program.process.wait(timeout=20) == 1
    assert "192.0.2.1" in "".join(str(line["message"]) for line in program.lines() if line["level"] == "error")


@pytest.mark.parametrize("interval", ["0s", "half a minute", "-1s"])
def test_an_interval_that_is_none_is_refused(tmp_path: Path, interval: str) -> None:
    program = Program(tmp_path, f"--probe-interval={interval}")
    assert program.process.wait(timeout=20) == 2
    assert "--probe-interval" in program.log_path.read_text()
