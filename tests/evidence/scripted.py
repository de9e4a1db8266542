"""A server that answers what a test scripts: an unscripted request and an unused answer both fail the test."""

from __future__ import annotations

import json
import threading
from collections import defaultdict, deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit


class ScriptedServer:
    """Answers each path's requests in the order they were scripted; serves on an ephemeral port of 127.0.0.1."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str]]] = []
        self._answers: defaultdict[str, deque[tuple[int, bytes]]] = defaultdict(deque)
        self._unexpected: list[str] = []
        outer = self

        class Answering(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                split = urlsplit(self.path)
                outer.requests.append((split.path, dict(parse_qsl(split.query))))
                if outer._answers[split.path]:
                    status, body = outer._answers[split.path].popleft()
                else:
                    outer._unexpected.append(self.path)
                    status, body = 500, b"not scripted"
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def script(self, path: str, answer: Any, *, status: int = 200) -> None:
        """The next answer to this path: bytes as they are, anything else as JSON."""
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self._answers[path].append((status, body))

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def check(self) -> None:
        """Raises AssertionError for what was asked but not scripted, or scripted but not asked."""
        unused = {path: len(left) for path, left in self._answers.items() if left}
        if self._unexpected or unused:
            raise AssertionError(f"asked but not scripted: {self._unexpected}; scripted but not asked: {unused}")
