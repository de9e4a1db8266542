"""An API server that answers what it was told to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.http_server import Answering, LoopbackServer


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

        class Handler(Answering):
            def do_GET(self) -> None:
                api.asked.append(self.path)
                api.headers.append(self.lowered())
                status, give = api._answers.get(self.path, (418, lambda: "not expected"))
                self.answer(status, give())

        self._server = LoopbackServer(Handler)
        self.url = self._server.url
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._server.stop()
        if kind is None:
            assert set(self.asked) == set(self._answers)
