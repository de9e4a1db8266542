"""The inference service: ``python -m harness.system.workloads.inference --model-name demo-lm --weights FILE``.

``POST`` and ``GET /v1/models/{model_name}/generate`` answer a prompt; ``/metrics``, ``/v2/metrics``,
``/healthz`` and ``/readyz`` are for those who operate it. The weights file is written from the shipped weights
where it does not exist, and read again when it changes. SIGTERM and SIGINT end the service with 0.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from prometheus_client import GC_COLLECTOR, CollectorRegistry, PlatformCollector, ProcessCollector

from harness import gpu
from harness.system import durations
from harness.system.telemetry.inference import InferenceInstruments
from harness.system.telemetry.logs import configure_logs, get_logger
from harness.system.workloads.serving.app import inference_app
from harness.system.workloads.serving.journal import Journal
from harness.system.workloads.serving.served_model import ServedModel, provide_weights

_DEVICE_MEMORY_BYTES = 8 * 1024**3
# However compressed time is, scoring must not become the service's work.
_PROBE_AT_LEAST_S = 0.25
# What is under way when the service is told to end gets this long.
_DRAIN_S = 0.6


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until told to end; the process's exit status."""
    options = _options(arguments)
    configure_logs("inference")
    if not provide_weights(options.weights):
        return 1  # whoever restarts the service tries again, and the restarts are seen
    try:
        device = gpu.tenant(name="inference", memory_bytes=_DEVICE_MEMORY_BYTES)
    except gpu.GpuUnavailable as error:
        get_logger().error("the GPU cannot be used", exc_info=error)
        return 1
    with device:
        return asyncio.run(_serve(options, device))


async def _serve(options: argparse.Namespace, device: gpu.Tenant) -> int:
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    registry.register(GC_COLLECTOR)
    instruments = InferenceInstruments(registry=registry, models=[options.model_name])
    model = ServedModel(options.weights, device)
    app = inference_app(
        model_name=options.model_name,
        model=model,
        instruments=instruments,
        registry=registry,
        journal=Journal(options.weights.with_name("responses.jsonl")),
        ready=lambda: model.accuracy is not None,
    )
    server = _Server(
        uvicorn.Config(
            app,
            host=options.host,
            port=options.port,
            loop="asyncio",
            http="h11",
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
        )
    )
    with instruments:
        scoring = asyncio.create_task(_keep_scoring(model, instruments, options))
        scoring.add_done_callback(lambda _: server.end())  # a service whose accuracy nobody sees must not go on
        try:
            await server.serve()
        except SystemExit:  # uvicorn's answer to an address it cannot listen on, which it has logged
            return 1
        finally:
            failed = scoring.done()
            scoring.cancel()
        if failed:
            get_logger().critical("probing ended", exc_info=scoring.exception())
    return 1 if failed else 0


async def _keep_scoring(model: ServedModel, instruments: InferenceInstruments, options: argparse.Namespace) -> None:
    """Score a round of probes at once and then one every interval, for as long as the service runs."""
    interval_s = durations.real_s(options.probe_interval, at_least_s=_PROBE_AT_LEAST_S)
    while True:
        accuracy = await model.score()
        if accuracy is not None:
            instruments.accuracy(options.model_name, accuracy)
        await asyncio.sleep(interval_s)


class _Server(uvicorn.Server):
    """uvicorn's server, ended by its first signal within a bounded time and without dying of that signal."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Both signals end the server, while it serves."""
        loop = asyncio.get_running_loop()
        numbers = (signal.SIGTERM, signal.SIGINT)
        for number in numbers:
            loop.add_signal_handler(number, self.end)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)

    def end(self) -> None:
        """Take no further requests, and leave those under way a little time."""
        if not self.should_exit:
            self.should_exit = True
            asyncio.get_running_loop().call_later(_DRAIN_S, setattr, self, "force_exit", True)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m harness.system.workloads.inference",
        description="Serves a small language model.",
        epilog="example: python -m harness.system.workloads.inference --model-name demo-lm --weights model.npz",
    )
    option = parser.add_argument
    option("--host", default=os.environ.get("POD_IP", "127.0.0.1"), help="address to listen on (%(default)s)")
    option("--port", type=int, default=8000, help="port to listen on (%(default)s)")
    option("--model-name", default="demo-lm", help="name the model is served under (%(default)s)")
    option("--weights", type=Path, required=True, help="file of the weights; written if it does not exist")
    option("--probe-interval", type=_duration, default="30s", help="time between two scorings (%(default)s)")
    return parser.parse_args(arguments)


def _duration(text: str) -> float:
    try:
        seconds = durations.parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if seconds <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not above 0")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
