"""A scripted server, and a record that collectors write to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import pytest

from harness.model import Event
from tests.evidence.scripted import ScriptedServer
from tests.http_server import Answering, LoopbackServer


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
            class Handler(Answering):
                def do_GET(self) -> None:
                    self.answer(200, answer)

            server = LoopbackServer(Handler)
            cleanup.callback(server.stop)
            return server.url

        yield start
