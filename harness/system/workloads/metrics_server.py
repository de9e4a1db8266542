"""What programs without an HTTP interface of their own serve: ``/metrics`` and ``/healthz``."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable
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

from harness.system.telemetry.logs import get_logger

_MAX_REQUESTS = 8
_REQUEST_TIMEOUT_S = 10


def process_registry() -> CollectorRegistry:
    """A registry that already tells of the process itself, its start time among the rest."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    registry.register(GC_COLLECTOR)
    return registry


class MetricsServer(ThreadingMixIn, WSGIServer):
    """``/metrics`` of a registry and ``/healthz``: eight requests at a time, each given up after ten idle seconds.

    A connection beyond that waits for a second and is closed if none of the eight has ended by then.
    """

    daemon_threads = True
    request_queue_size = 16

    def __init__(self, host: str, port: int, registry: CollectorRegistry) -> None:
        """Bound and listening, but not answering before ``start``. Raises OSError when it cannot be bound."""
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._slots = threading.BoundedSemaphore(_MAX_REQUESTS)
        self._thread = threading.Thread(
            target=self.serve_forever, kwargs={"poll_interval": 0.1}, name="http", daemon=True
        )
        super().__init__((host, port), _RequestHandler)
        self.set_app(_app(registry))

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


def _app(registry: CollectorRegistry) -> Callable[..., Iterable[bytes]]:
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
