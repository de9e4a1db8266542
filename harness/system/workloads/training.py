"""The training job: trains a small language model on the text it ships with, and shows how that goes.

``/metrics`` and ``/healthz`` are for Prometheus and the kubelet; SIGTERM ends it with a last checkpoint.

Example: ``python -m harness.system.workloads.training --host 127.0.0.1 --port 9401 --job-name demo``
"""

from __future__ import annotations

import argparse
import signal
import threading
from pathlib import Path

from harness import gpu
from harness.system import models
from harness.system.durations import parse_duration, real_s
from harness.system.telemetry.logs import configure_logs, get_logger
from harness.system.telemetry.training import TrainingInstruments
from harness.system.workloads.hyperparameters import HyperparameterFile
from harness.system.workloads.metrics_server import MetricsServer, process_registry
from harness.system.workloads.training_job import TrainingJob

# Weights, activations and workspace as a training process of modest size holds them on a real device.
DEFAULT_GPU_MEMORY_BYTES = 6 * 1024**3
# However compressed time is, writing checkpoints must not become the job's work.
_CHECKPOINT_AT_LEAST_S = 5.0


def main(argv: list[str] | None = None) -> None:
    """Trains until SIGTERM or SIGINT."""
    options = _options(argv)
    configure_logs("training")
    log = get_logger()
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    registry = process_registry()
    instruments = TrainingInstruments(job_name=options.job_name, registry=registry)
    instruments.running(False)
    with (
        MetricsServer(options.host, options.port, registry) as server,
        gpu.tenant(name=options.job_name, memory_bytes=options.gpu_memory_bytes) as device,
    ):
        server.start()
        log.info("listening", host=options.host, port=options.port, backend=models.backend())
        job = TrainingJob(
            instruments=instruments,
            hyperparameters=HyperparameterFile(options.config),
            device=device,
            checkpoint_dir=options.checkpoint_dir,
            checkpoint_every_s=real_s(options.checkpoint_every, at_least_s=_CHECKPOINT_AT_LEAST_S),
            seed=options.seed,
        )
        job.run(stopping)
    log.info("ended")


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m harness.system.workloads.training",
        description="Trains a small language model and shows how that goes.",
        epilog="example: python -m harness.system.workloads.training --job-name demo --config training.yaml",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    parser.add_argument("--port", type=int, default=9401, help="port to listen on (default %(default)s)")
    parser.add_argument("--job-name", default="demo", help="the metrics' job_name (default %(default)s)")
    parser.add_argument("--config", type=Path, help="YAML file of hyper-parameters, re-read while the job runs")
    parser.add_argument("--checkpoint-dir", type=Path, help="where checkpoints are kept; without it there are none")
    parser.add_argument(
        "--checkpoint-every", type=_duration, default="5m", help="spec time between checkpoints (default %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=1, help="seed of weights and batches (default %(default)s)")
    parser.add_argument(
        "--gpu-memory-bytes",
        type=int,
        default=DEFAULT_GPU_MEMORY_BYTES,
        help="device memory to hold (default %(default)s)",
    )
    return parser.parse_args(argv)


def _duration(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


if __name__ == "__main__":
    main()
