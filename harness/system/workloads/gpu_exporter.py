"""The GPU exporter: ``python -m harness.system.workloads.gpu_exporter --host $POD_IP --port 9400``.

Serves ``/metrics`` (the devices and the process itself) and ``/healthz``. It answers while devices are lost;
only when there is no GPU at all does it end, with 1. SIGTERM and SIGINT end it with 0.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from socketserver import TCPServer, ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import (
    GC_COLLECTOR,
    CollectorRegistry,
    PlatformCollector,
    ProcessCollector,
    make_wsgi_app,
)

from harness.gpu import GpuUnavailable
from harness.system.telemetry.gpu import GpuCollector
from harness.system.telemetry.logs import configure_logs, get_logger

_SERVICE = "gpu-exporter"
_MAX_REQUESTS = 8
_REQUEST_TIMEOUT_S = 10
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
    try:
        server = Server(options.host, options.port, metrics_app(collector))
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


def metrics_app(collector: GpuCollector) -> Callable[..., Iterable[bytes]]:
    """The WSGI application: ``/metrics`` from a registry of its own, ``/healthz``, and 404 for the rest."""
    registry = CollectorRegistry()
    registry.register(collector)
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    registry.register(GC_COLLECTOR)
    metrics = make_wsgi_app(registry)

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            body: Iterable[bytes] = metrics(environ, start_response)
            return body
        status, text = ("200 OK", b"ok\n") if path == "/healthz" else ("404 Not Found", b"not found\n")
        start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(text)))])
        return [text]

    return app


class Server(ThreadingMixIn, WSGIServer):
    """A small HTTP server: eight requests at a time, each given up after ten seconds without progress.

    A connection beyond that waits for a second and is closed if none of the eight has ended by then.
    """

    daemon_threads = True
    request_queue_size = 16

    def __init__(self, host: str, port: int, app: Callable[..., Iterable[bytes]]) -> None:
        """Bound and listening, but not answering before ``start``. Raises OSError when it cannot be bound."""
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._slots = threading.BoundedSemaphore(_MAX_REQUESTS)
        self._thread = threading.Thread(
            target=self.serve_forever, kwargs={"poll_interval": 0.1}, name="http", daemon=True
        )
        super().__init__((host, port), _RequestHandler)
        self.set_app(app)

    def start(self) -> None:
        """Answer requests, from now until the ``with`` block that holds the server ends."""
        self._thread.start()

    def server_bind(self) -> None:
        """Bind without asking DNS for the address's name, as the base class would: that can take seconds."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.socket.getsockname()[:2]
        self.setup_environ()

    def server_close(self) -> None:
        """Stop answering, and give the address back."""
        if self._thread.is_alive():
            self.shutdown()
        super().server_close()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread of its own, if one of the slots can be had."""
        if self._slots.acquire(timeout=1.0):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """The thread's work; its slot is free again afterwards."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A request that broke off is logged; the server goes on."""
        get_logger().warning("request failed", client=str(client_address[0]), exc_info=True)


class _RequestHandler(WSGIRequestHandler):
    timeout = _REQUEST_TIMEOUT_S

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a scrape every few seconds is not news."""


if __name__ == "__main__":
    sys.exit(main())
