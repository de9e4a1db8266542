"""An API server that answers what it was told to."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class FakeApi:
    """An API server of plain HTTP on loopback that answers what it was told to, and nothing else.

    At its end every answer has been asked for, and nothing beside them. ``headers``: of each request.
    """

    def __init__(self) -> None:
        self._answers: dict[str, tuple[int, Callable[[], Any]]] = {}
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.url = ""

    def answers(self, path: str, body: Any, status: int = 200) -> None:
        """What is answered to GET of this path with its query, however often.

        A body that is no text is JSON; a function gives one at each request.
        """
        self._answers[path] = (status, body if callable(body) else lambda: body)

    def lists(self, path: str, *items: Any) -> None:
        """A list of objects."""
        self.answers(path, {"kind": "List", "items": list(items)})

    def __enter__(self) -> FakeApi:
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                api.asked.append(self.path)
                api.headers.append({name.lower(): value for name, value in self.headers.items()})
                status, give = api._answers.get(self.path, (418, lambda: "not expected"))
                given = give()
                body = given.encode() if isinstance(given, str) else json.dumps(given).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=lambda: self._server.serve_forever(poll_interval=0.02))
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        if kind is None:
            assert set(self.asked) == set(self._answers)
