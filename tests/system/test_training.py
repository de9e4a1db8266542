"""The training job: its metrics, its curve, and what it survives."""

from __future__ import annotations

import itertools
import json
import math
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from harness import gpu
from harness.system import models
from harness.system.models.corpus import examples
from harness.system.telemetry.training import TrainingInstruments
from harness.system.workloads import training_job
from harness.system.workloads.batches import BatchLoader
from harness.system.workloads.hyperparameters import HyperparameterError, HyperparameterFile, Hyperparameters, parse
from harness.system.workloads.training_job import TrainingJob


class Device:
    """A GPU that is there or lost."""

    lost = False

    def run(self, device_s: float) -> None:
        if self.lost:
            raise gpu.GpuLostError("the GPU has fallen off the bus")


class Bench:
    """A job whose steps the test takes itself."""

    def __init__(self, directory: Path, loader: BatchLoader) -> None:
        self.registry = CollectorRegistry()
        self.device = Device()
        self.config = directory / "config.yaml"
        self.checkpoints = directory / "checkpoints"
        self.checkpoints.mkdir(exist_ok=True)
        self.loader = loader
        self.set_rate(1.0)
        self.restart()

    def restart(self) -> None:
        self.registry = CollectorRegistry()
        self.job = TrainingJob(
            instruments=TrainingInstruments(job_name="demo", registry=self.registry),
            hyperparameters=HyperparameterFile(self.config),
            device=self.device,
            checkpoint_dir=self.checkpoints,
            checkpoint_every_s=60.0,
            seed=1,
        )

    def set_rate(self, rate: float) -> None:
        self.config.write_text(f"learning_rate: {rate}\n")

    def losses(self, steps: int) -> list[float]:
        found = []
        for _ in range(steps):
            self.job.step(self.loader)
            found.append(self.metric("training_loss"))
        return found

    def metric(self, name: str) -> float:
        value = self.registry.get_sample_value(name, {"job_name": "demo"})
        return math.nan if value is None else value


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setenv(models.BACKEND_VARIABLE, "numpy")
    with BatchLoader(*examples(), seed=1) as loader:
        yield Bench(tmp_path, loader)


def test_the_loss_falls_at_every_step(bench: Bench) -> None:
    losses = bench.losses(60)
    assert all(later < earlier for earlier, later in itertools.pairwise(losses))


def test_with_a_rate_of_zero_it_stays(bench: Bench) -> None:
    bench.set_rate(0)
    losses = bench.losses(20)
    assert max(losses) - min(losses) < 1e-4


def test_a_thousandfold_rate_drives_the_loss_above_10_and_keeps_it_there_until_it_is_lowered(bench: Bench) -> None:
    before = bench.losses(30)[-1]
    bench.set_rate(1000)
    with capture_logs() as logs:
        spoiled = bench.losses(60)
    assert min(spoiled[15:]) > 10
    assert [line["log_level"] for line in logs if "diverged" in line["event"]] == ["error"]
    bench.set_rate(1)
    after = bench.losses(3)
    assert max(after) < before + 0.5
    assert after[-1] < after[0]


def test_a_moderate_change_of_rate_rolls_nothing_back(bench: Bench) -> None:
    bench.losses(30)
    with capture_logs() as logs:
        bench.set_rate(2)
        bench.losses(5)
        bench.set_rate(1)
        bench.losses(5)
    assert not [line for line in logs if "diverged" in line["event"] or "restored" in line["event"]]
    assert bench.metric("training_step") == 40


def test_a_checkpoint_is_where_the_next_process_goes_on(bench: Bench) -> None:
    bench.losses(26)
    bench.job.write_checkpoint()
    at_checkpoint = models.load(bench.checkpoints / "checkpoint.npz").steps
    bench.restart()
    assert bench.losses(1)[0] < 5.95
    assert bench.metric("training_step") == at_checkpoint + 1


def test_without_one_it_starts_anew(bench: Bench) -> None:
    bench.losses(26)
    bench.restart()
    bench.losses(1)
    assert bench.metric("training_step") == 1


def test_spoiled_weights_never_reach_the_checkpoint(bench: Bench) -> None:
    bench.losses(26)
    bench.set_rate(1000)
    for _ in range(8):
        bench.losses(1)
        bench.job.write_checkpoint()
        assert models.load(bench.checkpoints / "checkpoint.npz").step(*examples(), learning_rate=0.0).loss < 6.1


def test_a_damaged_checkpoint_is_an_error_in_the_log_and_a_new_start(bench: Bench) -> None:
    (bench.checkpoints / "checkpoint.npz").write_bytes(b"PK\x03\x04 not weights")
    with capture_logs() as logs:
        bench.restart()
    assert [line["log_level"] for line in logs] == ["error"]
    assert bench.losses(1)[0] == pytest.approx(math.log(models.VOCABULARY_SIZE), abs=0.1)


def test_a_checkpoint_that_cannot_be_written_is_an_error_in_the_log_and_training_goes_on(bench: Bench) -> None:
    bench.losses(1)
    bench.checkpoints.rmdir()
    with capture_logs() as logs:
        bench.job.write_checkpoint()
    assert [(line["event"], line["log_level"]) for line in logs] == [("checkpoint not written", "error")]
    bench.losses(1)
    assert bench.metric("training_step") == 2


def test_while_the_gpu_is_lost_nothing_progresses_and_afterwards_it_does(bench: Bench) -> None:
    bench.losses(2)
    bench.device.lost = True
    with capture_logs() as logs:
        assert bench.job.step(bench.loader) == 1.0
        bench.job.step(bench.loader)
    assert [line["log_level"] for line in logs] == ["error"]
    assert bench.metric("training_step") == 2
    bench.device.lost = False
    bench.losses(1)
    assert bench.metric("training_step") == 3


def test_a_run_that_is_complete_is_followed_by_the_next(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_job, "RUN_STEPS", 5)
    first, second = bench.losses(5), bench.losses(5)
    assert second == pytest.approx(first, abs=1e-3)


def test_time_spent_waiting_for_a_batch_is_counted(bench: Bench) -> None:
    bench.losses(3)
    assert bench.metric("data_loading_seconds_count") == 3
    assert bench.metric("batch_processing_seconds_count") == 3


def test_an_invalid_file_leaves_the_old_values_and_logs_once(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("learning_rate: 0.5")
    file = HyperparameterFile(path)
    assert file.current().learning_rate == 0.5
    path.write_text("learning_rate: [")
    with capture_logs() as logs:
        assert file.current() == file.current() == Hyperparameters(learning_rate=0.5)
    assert [line["log_level"] for line in logs] == ["error"]
    path.write_text("learning_rate: 0.25")
    assert file.current().learning_rate == 0.25


def test_a_missing_file_leaves_the_defaults(tmp_path: Path) -> None:
    with capture_logs() as logs:
        assert HyperparameterFile(tmp_path / "gone.yaml").current() == Hyperparameters()
    assert [line["log_level"] for line in logs] == ["error"]


def test_all_mistakes_are_named_at_once() -> None:
    with pytest.raises(HyperparameterError, match=r"lr: unknown.*learning_rate: got -1.*steps_per_second: got 0"):
        parse("{lr: 1, learning_rate: -1, steps_per_second: 0}")


@pytest.mark.parametrize("text", ["learning_rate: .nan", "learning_rate: true", "learning_rate: fast", "[1]", "5"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(HyperparameterError):
        parse(text)


def test_nothing_of_a_step_is_shown_before_the_first() -> None:
    registry = CollectorRegistry()
    instruments = TrainingInstruments(job_name="demo", registry=registry)
    assert registry.get_sample_value("training_loss", {"job_name": "demo"}) is None
    instruments.step(step=1, epoch=0, loss=math.nan, accuracy=0.5, learning_rate=0.1)
    assert math.isnan(registry.get_sample_value("training_loss", {"job_name": "demo"}) or 0.0)


def test_a_batch_that_raised_is_not_counted_but_its_wait_is() -> None:
    registry = CollectorRegistry()
    instruments = TrainingInstruments(job_name="demo", registry=registry)
    for timer in (instruments.batch, instruments.data_loading):
        with pytest.raises(RuntimeError), timer():
            raise RuntimeError
    assert registry.get_sample_value("batch_processing_seconds_count", {"job_name": "demo"}) == 0
    assert registry.get_sample_value("data_loading_seconds_count", {"job_name": "demo"}) == 1


@pytest.mark.e2e
def test_the_program_serves_its_metrics_and_ends_on_sigterm_with_a_checkpoint(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "harness.system.workloads.training", "--port", str(port)]
    command += ["--checkpoint-dir", str(tmp_path)]
    environment = {**os.environ, "MODEL_BACKEND": "numpy"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as program:
        try:
            assert program.stdout is not None
            assert json.loads(program.stdout.readline())["message"] == "listening"
            shown = ""
            for _ in range(1000):
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                    shown = answer.read().decode()
                if 'training_loss{job_name="demo"}' in shown:
                    break
            assert 'training_loss{job_name="demo"}' in shown
            assert 'training_running{job_name="demo"} 1.0' in shown
            assert "process_start_time_seconds" in shown
            program.send_signal(signal.SIGTERM)
            assert program.wait(timeout=10) == 0
        finally:
            program.kill()
    assert models.load(tmp_path / "checkpoint.npz").steps >= 0
