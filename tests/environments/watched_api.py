"""An API server that lists, and tells of changes."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.http_server import Answering, LoopbackServer

Object = dict[str, Any]


class WatchedApi:
    """Plain HTTP on loopback. ``asked`` and ``headers``: of each request, in order."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.url = ""
        self._changed = threading.Condition()
        self._lists: dict[str, dict[tuple[str, str], Object]] = {}
        self._events: dict[str, list[tuple[int, str, Object]]] = {}
        self._answers: dict[str, tuple[int, Any]] = {}
        self._version = 100
        self._forgotten = 0
        self._cut = 0
        self._ending = False

    def lists(self, path: str, *items: Mapping[str, Any]) -> None:
        """These objects are in the list, and no others; whoever watches it is told."""
        now = {_key(each): dict(each) for each in items}
        with self._changed:
            self._answers.pop(path, None)
            before = self._lists.get(path, {})
            for key in before.keys() - now.keys():
                self._tell(path, "DELETED", before[key])
            for key, each in now.items():
                if before.get(key) != each:
                    self._tell(path, "MODIFIED" if key in before else "ADDED", each)
            self._lists[path] = now
            self._changed.notify_all()

    def answers(self, path: str, body: Any, status: int = 200) -> None:
        """What is answered to a list of this path, instead of one; a body that is no text is JSON."""
        with self._changed:
            self._answers[path] = (status, body)

    def tells(self, path: str, kind: str, told: Object) -> None:
        """Those who watch get this event, whatever it is."""
        with self._changed:
            self._events.setdefault(path, []).append((self._version, kind, told))
            self._changed.notify_all()

    def forgets(self) -> None:
        """No watch can begin at what was given out so far."""
        with self._changed:
            self._forgotten = self._version = self._version + 1

    def cuts(self) -> None:
        """Every watch ends."""
        with self._changed:
            self._cut += 1
            self._changed.notify_all()

    def watches(self, path: str) -> list[str]:
        """The versions at which watches of this path began."""
        parts = [urlsplit(each) for each in self.asked]
        asked = [parse_qs(each.query) for each in parts if each.path == path]
        return [each["resourceVersion"][0] for each in asked if "watch" in each]

    def _tell(self, path: str, kind: str, told: Object) -> None:
        self._version += 1
        told = {**told, "metadata": {**told["metadata"], "resourceVersion": str(self._version)}}
        self._events.setdefault(path, []).append((self._version, kind, told))

    def _list(self, path: str) -> tuple[int, Any]:
        with self._changed:
            if path in self._answers:
                return self._answers[path]
            if path not in self._lists:
                return 418, "not expected"
            items = list(self._lists[path].values())
            return 200, {"kind": "List", "metadata": {"resourceVersion": str(self._version)}, "items": items}

    def _events_of(self, path: str, since: int) -> Any:
        """Each event after this version, as it comes, until the watches are cut."""
        with self._changed:
            cut = self._cut
            events = self._events.setdefault(path, [])
            told = sum(version <= since for version, _, _ in events)
        while True:
            with self._changed:
                while len(events) == told and self._cut == cut and not self._ending:
                    self._changed.wait()
                new, ended = events[told:], self._cut != cut or self._ending
            yield from ({"type": kind, "object": each} for _, kind, each in new)
            told += len(new)
            if ended:
                return

    def __enter__(self) -> WatchedApi:
        api = self

        class Handler(Answering):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                api.asked.append(self.path)
                api.headers.append(self.lowered())
                parts = urlsplit(self.path)
                asked = parse_qs(parts.query)
                if "watch" in asked:
                    self.watch(parts.path, int(asked["resourceVersion"][0]))
                    return
                self.answer(*api._list(parts.path))

            def watch(self, path: str, since: int) -> None:
                self.send_response(200)
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                gone = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "too old"}}
                events = [gone] if since < api._forgotten else api._events_of(path, since)
                for event in events:
                    line = json.dumps(event).encode() + b"\n"
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
                self.wfile.write(b"0\r\n\r\n")

        self._server = LoopbackServer(Handler)
        self.url = self._server.url
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._ending = True
            self._changed.notify_all()
        self._server.stop()


def _key(of: Mapping[str, Any]) -> tuple[str, str]:
    return of["metadata"].get("namespace", ""), of["metadata"]["name"]
