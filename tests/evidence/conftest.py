"""A scripted server, and a record that collectors write to."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from harness.model import Event
from tests.evidence.scripted import ScriptedServer


class Written:
    """Stands where a timeline's ``record`` does."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, kind: str, name: str, data: Mapping[str, Any]) -> Event:
        self.events.append(Event(len(self.events), 0.0, 0.0, kind, name, dict(data)))
        return self.events[-1]

    def of(self, kind: str) -> list[Event]:
        return [event for event in self.events if event.kind == kind]


@pytest.fixture
def written() -> Written:
    return Written()


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    scripted = ScriptedServer()
    try:
        yield scripted
        scripted.check()
    finally:
        scripted.stop()


@pytest.fixture
def answering() -> Iterator[Callable[[Any], str]]:
    """Starts a server that answers every request with this, as JSON or as the bytes it is; the result is its URL."""
    with ExitStack() as cleanup:

        def start(answer: Any) -> str:
            body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()

            class Handler(BaseHTTPRequestHandler):
                def do_GET(self) -> None:
                    self.send_response(200)
                    self.end_headers()
                    self.wfile.write(body)

                def log_message(self, *args: object) -> None:
                    """Nothing is logged."""

            server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
            thread = Thread(target=server.serve_forever, daemon=True)
            thread.start()
            cleanup.callback(thread.join)
            cleanup.callback(server.server_close)
            cleanup.callback(server.shutdown)
            return f"http://127.0.0.1:{server.server_address[1]}"

        yield start
