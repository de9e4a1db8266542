"""A server that answers what a test scripts: an unscripted request and an unused answer both fail the test."""

from __future__ import annotations

import json
from collections import defaultdict, deque
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.http_server import Answering, LoopbackServer


class ScriptedServer:
    """Answers each path's requests in the order they were scripted; serves on an ephemeral port of 127.0.0.1."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str]]] = []
        self._answers: defaultdict[str, deque[tuple[int, bytes]]] = defaultdict(deque)
        self._unexpected: list[str] = []
        outer = self

        class Handler(Answering):
            def do_GET(self) -> None:
                split = urlsplit(self.path)
                outer.requests.append((split.path, dict(parse_qsl(split.query))))
                if outer._answers[split.path]:
                    status, body = outer._answers[split.path].popleft()
                else:
                    outer._unexpected.append(self.path)
                    status, body = 500, b"not scripted"
                self.answer(status, body)

        self._server = LoopbackServer(Handler)
        self.url = self._server.url

    def script(self, path: str, answer: Any, *, status: int = 200) -> None:
        """The next answer to this path: bytes as they are, anything else as JSON."""
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self._answers[path].append((status, body))

    def stop(self) -> None:
        self._server.stop()

    def check(self) -> None:
        """Raises AssertionError for what was asked but not scripted, or scripted but not asked."""
        unused = {path: len(left) for path, left in self._answers.items() if left}
        if self._unexpected or unused:
            raise AssertionError(f"asked but not scripted: {self._unexpected}; scripted but not asked: {unused}")
