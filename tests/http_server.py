"""What the tests' own HTTP servers share: a server on loopback for one handler, and how that answers."""

from __future__ import annotations

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Answering(BaseHTTPRequestHandler):
    """Writes whole answers, and no log."""

    def answer(self, status: int, body: Any) -> None:
        """Bytes and text as they are, anything else as JSON."""
        text = body if isinstance(body, bytes | str) else json.dumps(body)
        content = text.encode() if isinstance(text, str) else text
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def lowered(self) -> dict[str, str]:
        """The request's headers by their names in lower case."""
        return {name.lower(): value for name, value in self.headers.items()}

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


class LoopbackServer(ThreadingHTTPServer):
    """Serves on a free port of 127.0.0.1 from here until it is stopped."""

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self._thread = threading.Thread(target=lambda: self.serve_forever(poll_interval=0.02), daemon=True)
        self._thread.start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing of who was gone before it was answered."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def stop(self) -> None:
        """Nothing listens any more."""
        self.shutdown()
        self._thread.join()
        self.server_close()
