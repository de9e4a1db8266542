"""The notification receiver: an Alertmanager webhook endpoint that keeps what it got.

``POST`` to any path takes a notification; ``GET /notifications?after=N`` gives those numbered above N, with their
arrival times; ``/metrics`` and ``/healthz`` are for Prometheus and the kubelet.
"""

from __future__ import annotations

import argparse
import json
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

from harness.system.telemetry.logs import configure_logs, get_logger
from harness.system.workloads.inbox import Inbox, RejectedNotification, parse_notification

_SERVICE = "notification-receiver"
_MAX_BODY_BYTES = 4 * 1024 * 1024
_REQUEST_TIMEOUT_S = 30
_JSON = "application/json"


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; the process's exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m harness.system.workloads.receiver",
        description="Keeps the notifications Alertmanager sends.",
        epilog="example: python -m harness.system.workloads.receiver --host 127.0.0.1 --port 8080 --directory /pager",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=8080, help="port to listen on; 0 takes a free one (%(default)s)")
    parser.add_argument("--directory", type=Path, help="also keep every notification in a file here, across restarts")
    options = parser.parse_args(arguments)
    configure_logs(_SERVICE)
    log = get_logger()
    try:
        server = Server(options.host, options.port, options.directory)
    except OSError as error:
        log.error("cannot serve", host=options.host, port=options.port, directory=options.directory, exc_info=error)
        return 1
    for number in (signal.SIGTERM, signal.SIGINT):
        # shutdown() waits for the loop that this signal interrupts, so it needs a thread of its own.
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    with server:
        log.info("listening", address=f"{options.host}:{server.server_port}")
        server.serve_forever(poll_interval=0.1)
    log.info("ended")
    return 0


class Server(ThreadingHTTPServer):
    """The receiver, bound and ready to ``serve_forever``."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, host: str, port: int, directory: Path | None = None) -> None:
        """``directory``: also keep notifications in a file there. Raises OSError when either cannot be had."""
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.inbox = Inbox(directory, self.registry)
        super().__init__((host, port), _RequestHandler)

    def server_bind(self) -> None:
        """Bind without asking DNS for the address's name, as the base class would: that can take seconds."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.socket.getsockname()[:2]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A request that broke off is logged; the server goes on."""
        get_logger().warning("request broke off", client=str(client_address[0]), exc_info=True)


class _RequestHandler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    timeout = _REQUEST_TIMEOUT_S
    # Without this an answer, which is two writes, waits for the client's delayed acknowledgement.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        split = urlsplit(self.path)
        if split.path == "/notifications":
            self._answer_notifications(parse_qs(split.query).get("after", ["0"])[-1])
        elif split.path == "/metrics":
            self._answer(200, generate_latest(self.server.registry), CONTENT_TYPE_LATEST)
        elif split.path in ("/healthz", "/readyz"):
            self._answer(200, b'{"status": "ok"}')
        else:
            self._answer(404, b'{"error": "not found"}')

    def do_POST(self) -> None:
        arrived_unix_s = time.time()
        try:
            body = parse_notification(self._read_body())
        except RejectedNotification as error:
            self.server.inbox.reject(path=self.path, problem=str(error))
            self._answer(400, json.dumps({"error": str(error)}).encode())
            return
        self.server.inbox.take(path=self.path, body=body, arrived_unix_s=arrived_unix_s)
        self._answer(200, b'{"status": "kept"}')

    def _answer_notifications(self, after: str) -> None:
        if re.fullmatch("[0-9]{1,18}", after):
            self._answer(200, json.dumps(self.server.inbox.after(int(after))).encode())
        else:
            self._answer(400, b'{"error": "after: need a whole number, 0 or more"}')

    def _read_body(self) -> bytes:
        """Raises RejectedNotification; the connection is of no further use then, as the body was not read."""
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch("[0-9]{1,18}", length) or int(length) > _MAX_BODY_BYTES:
            self.close_connection = True
            raise RejectedNotification(f"Content-Length: got {length!r}, need a number up to {_MAX_BODY_BYTES}")
        return self.rfile.read(int(length))

    def _answer(self, status: int, body: bytes, content_type: str = _JSON) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a scrape is not news, and notifications have lines of their own."""


if __name__ == "__main__":
    sys.exit(main())
