"""The training job: trains a small language model on the text it ships with, and shows how that goes.

``/metrics`` and ``/healthz`` are for Prometheus and the kubelet; SIGTERM ends it with a last checkpoint.

Example: ``python -m harness.system.workloads.training --host 127.0.0.1 --port 9401 --job-name demo``
"""

from __future__ import annotations

import argparse
import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from harness import gpu
from harness.system import models
from harness.system.durations import parse_duration, real_s
from harness.system.telemetry.logs import configure_logs, get_logger
from harness.system.telemetry.training import TrainingInstruments
from harness.system.workloads.hyperparameters import HyperparameterFile
from harness.system.workloads.training_job import TrainingJob

# Weights, activations and workspace as a training process of modest size holds them on a real device.
DEFAULT_GPU_MEMORY_BYTES = 6 * 1024**3
# However compressed time is, writing checkpoints must not become the job's work.
_CHECKPOINT_AT_LEAST_S = 5.0


def serve(host: str, port: int, registry: CollectorRegistry) -> ThreadingHTTPServer:
    """The server of ``/metrics`` and ``/healthz``, already answering. Raises OSError when the address is taken."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30

        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            if path == "/metrics":
                self._answer(200, generate_latest(registry), CONTENT_TYPE_LATEST)
            elif path in ("/healthz", "/readyz"):
                self._answer(200, b'{"status": "ok"}', "application/json")
            else:
                self._answer(404, b'{"error": "not found"}', "application/json")

        def _answer(self, status: int, body: bytes, content_type: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Each scrape is not worth a line."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

    server = Server((host, port), Handler)
    # A daemon without an end of its own: it answers for as long as the process lives.
    threading.Thread(target=server.serve_forever, name="http", daemon=True).start()
    return server


def main(argv: list[str] | None = None) -> None:
    """Trains until SIGTERM or SIGINT."""
    options = _options(argv)
    configure_logs("training")
    log = get_logger()
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    instruments = TrainingInstruments(job_name=options.job_name, registry=registry)
    instruments.running(False)
    serve(options.host, options.port, registry)
    log.info("listening", host=options.host, port=options.port, backend=models.backend())
    with gpu.tenant(name=options.job_name, memory_bytes=options.gpu_memory_bytes) as device:
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
