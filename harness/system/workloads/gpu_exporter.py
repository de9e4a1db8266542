"""The GPU exporter: ``python -m harness.system.workloads.gpu_exporter --host $POD_IP --port 9400``.

Serves ``/metrics`` (the devices and the process itself) and ``/healthz``. It answers while devices are lost;
only when there is no GPU at all does it end, with 1. SIGTERM and SIGINT end it with 0.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence

from harness.gpu import GpuUnavailable
from harness.system.telemetry.gpu import GpuCollector
from harness.system.telemetry.logs import configure_logs, get_logger
from harness.system.workloads.metrics_server import MetricsServer, process_registry

_SERVICE = "gpu-exporter"
_END_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until told to end; the process's exit status."""
    parser = argparse.ArgumentParser(prog="gpu_exporter", description=__doc__)
    parser.add_argument("--host", default=os.environ.get("POD_IP", "127.0.0.1"), help="address to listen on")
    parser.add_argument("--port", type=int, default=9400, help="port to listen on; 0 takes a free one")
    options = parser.parse_args(arguments)
    configure_logs(_SERVICE)
    log = get_logger()
    # Blocked before any thread starts, so that only the wait below takes them.
    signal.pthread_sigmask(signal.SIG_BLOCK, _END_SIGNALS)
    try:
        collector = GpuCollector()
    except GpuUnavailable as error:
        log.error("no GPU to export", error=str(error), needed="an NVIDIA driver, or SIMULATED_GPU")
        return 1
    registry = process_registry()
    registry.register(collector)
    try:
        server = MetricsServer(options.host, options.port, registry)
    except OSError as error:
        log.error("cannot listen", host=options.host, port=options.port, error=str(error))
        return 1
    with collector, server:
        server.start()
        log.info(
            "exporting",
            address=f"{options.host}:{server.server_port}",
            gpu=collector.connection.name,
            gpus=collector.connection.device_count,
            simulated=collector.connection.simulated,
        )
        ended_by = signal.sigwait(_END_SIGNALS)
        log.info("ending", signal=signal.Signals(ended_by).name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
