"""The notification receiver: an Alertmanager webhook endpoint that keeps what it got.

``POST`` to any path takes a notification; ``GET /notifications?after=N`` gives those numbered above N, with their arrival
times; ``/metrics`` and ``/healthz`` are for Prometheus and the kubelet.

Example: ``python -m harness.system.workloads.receiver --host 127.0.0.1 --port 8080 --directory /notifications``
"""

from __future__ import annotations

import argparse
import json
import signal
import threading
import time
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, generate_latest
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from harness.system.telemetry.logs import configure_logs, get_logger

_MAX_BODY_BYTES = 4 * 1024 * 1024
# Older notifications stay in the file where a directory is given; memory keeps this many.
_KEPT = 20_000
# Receivers are named by configuration, but a body can claim any name: beyond these they share one series.
_MAX_RECEIVER_LABELS = 50


class Inbox:
    """The notifications in the order of their arrival, numbered from 1. Safe for several threads."""

    def __init__(self, directory: Path | None, registry: CollectorRegistry) -> None:
        self._kept: deque[dict[str, Any]] = deque(maxlen=_KEPT)
        self._last = 0
        self._lock = threading.Lock()
        self._file = (directory / "notifications.jsonl").open("a", encoding="utf-8") if directory else None
        self._names: set[str] = set()
        self._received = Counter("notifications_received", "Deliveries taken.", ["receiver", "status"], registry=registry)
        self.rejected = Counter("notifications_rejected", "Deliveries that were no notification.", registry=registry)

    def take(self, *, path: str, body: dict[str, Any], arrived_unix_s: float) -> None:
        """Keeps one delivery."""
        receiver = str(body["receiver"])
        with self._lock:
            self._last += 1
            kept = {
                "seq": self._last,
                "arrived_unix_s": arrived_unix_s,
                "path": path,
                "receiver": receiver,
                "body": body,
            }
            self._kept.append(kept)
            if self._file is not None:
                self._file.write(json.dumps(kept) + "\n")
                self._file.flush()
            if len(self._names) < _MAX_RECEIVER_LABELS:
                self._names.add(receiver)
            label = receiver if receiver in self._names else "other"
        status = "resolved" if body.get("status") == "resolved" else "firing"
        self._received.labels(receiver=label, status=status).inc()

    def after(self, number: int) -> dict[str, Any]:
        """Those numbered above ``number``, and the number of the latest."""
        with self._lock:
            return {"notifications": [kept for kept in self._kept if kept["seq"] > number], "last": self._last}


def serve(host: str, port: int, directory: Path | None) -> ThreadingHTTPServer:
    """The server, bound and ready to ``serve_forever``. Raises OSError when the address is taken."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    inbox = Inbox(directory, registry)
    log = get_logger()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30

        def do_GET(self) -> None:
            split = urlsplit(self.path)
            if split.path == "/notifications":
                try:
                    after = int(parse_qs(split.query).get("after", ["0"])[0])
                except ValueError:
                    self._answer(400, b'{"error": "after must be a whole number"}', "application/json")
                    return
                self._answer(200, json.dumps(inbox.after(after)).encode(), "application/json")
            elif split.path == "/metrics":
                self._answer(200, generate_latest(registry), CONTENT_TYPE_LATEST)
            elif split.path in ("/healthz", "/readyz"):
                self._answer(200, b'{"status": "ok"}', "application/json")
            else:
                self._answer(404, b'{"error": "not found"}', "application/json")

        def do_POST(self) -> None:
            arrived_unix_s = time.time()
            problem, body = self._read_body()
            if problem:
                inbox.rejected.inc()
                log.warning("notification rejected", path=self.path, problem=problem)
                self._answer(400, json.dumps({"error": problem}).encode(), "application/json")
                return
            inbox.take(path=self.path, body=body, arrived_unix_s=arrived_unix_s)
            names = sorted({str(alert.get("labels", {}).get("alertname")) for alert in body["alerts"]})
            log.info("notification", receiver=body["receiver"], status=body.get("status"), alerts=names)
            self._answer(200, b'{"status": "kept"}', "application/json")

        def _read_body(self) -> tuple[str, dict[str, Any]]:
            try:
                length = int(self.headers.get("Content-Length", ""))
            except ValueError:
                self.close_connection = True
                return "Content-Length is missing or no number", {}
            if not 0 <= length <= _MAX_BODY_BYTES:
                self.close_connection = True
                return f"body of {length} bytes; at most {_MAX_BODY_BYTES} are taken", {}
            try:
                body = json.loads(self.rfile.read(length))
            except ValueError as error:
                return f"body is not JSON: {error}", {}
            alerts = body.get("alerts") if isinstance(body, dict) else None
            if not isinstance(alerts, list) or not all(isinstance(alert, dict) for alert in alerts):
                return "body has no list of alerts", {}
            if not isinstance(body.get("receiver"), str):
                return "body names no receiver", {}
            return "", body

        def _answer(self, status: int, body: bytes, content_type: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Each request is not worth a line; notifications have their own."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

    return Server((host, port), Handler)


def main(argv: list[str] | None = None) -> None:
    """Serves until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(
        prog="python -m harness.system.workloads.receiver",
        description="Keeps the notifications Alertmanager sends.",
        epilog="example: python -m harness.system.workloads.receiver --host 127.0.0.1 --port 8080",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    parser.add_argument("--port", type=int, default=8080, help="port to listen on (default %(default)s)")
    parser.add_argument("--directory", type=Path, help="also append every notification to a file here")
    options = parser.parse_args(argv)
    configure_logs("notification-receiver")
    server = serve(options.host, options.port, options.directory)
    for number in (signal.SIGTERM, signal.SIGINT):
        # shutdown() waits for the serving loop, which this handler interrupts: it needs a thread of its own.
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    get_logger().info("listening", host=options.host, port=options.port)
    server.serve_forever(poll_interval=0.2)
    server.server_close()


if __name__ == "__main__":
    main()
