"""A list of the API server's, kept up to date by its own word of each change.

Source of the protocol: Kubernetes API concepts, efficient detection of changes.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import requests

from harness.direct import direct_session

_TIMEOUT_S = 5.0
# The server ends each watch after this and is asked again from there: a connection that is dead unseen is found out.
_WATCH_S = 60
_RETRY_S = 1.0
_ERRORS = (requests.RequestException, OSError, ValueError, KeyError, TypeError, AttributeError)


class Watched:
    """The objects of one list; what was read last stands while the API server is away.

    Safe to use from several threads.
    ``credentials`` gives what `requests` needs besides the address, and is asked anew before each request.
    """

    def __init__(self, url: str, credentials: Callable[[], Mapping[str, Any]], retry_s: float = _RETRY_S) -> None:
        self._url = url
        self._credentials = credentials
        self._retry_s = retry_s
        self._session = direct_session()
        self._changed = threading.Condition()
        self._objects: dict[tuple[str, str], Mapping[str, Any]] | None = None
        self._version = 0
        self._error: Exception | None = None
        self._closed = threading.Event()
        threading.Thread(target=self._run, daemon=True, name=f"watch {url}").start()

    def look(self) -> tuple[int, list[Mapping[str, Any]]]:
        """The objects, and a number that grows with each change of them; waits until something is known.

        Raises what kept the list from being read when it never was.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._objects is not None or self._error is not None, 2 * _TIMEOUT_S)
            if self._objects is not None:
                return self._version, list(self._objects.values())
            if self._error is not None:
                # Raised again and again: without this it would grow by the way it took each time.
                raise self._error.with_traceback(None)
        raise TimeoutError(f"no answer from {self._url}")

    def close(self) -> None:
        """Nothing is asked any more once the request that is under way has ended."""
        self._closed.set()
        self._session.close()

    def _run(self) -> None:
        while not self._closed.is_set():
            try:
                at = self._list()
                while not self._closed.is_set():
                    began_s = time.monotonic()
                    at = self._follow(at)
                    # Whoever ends every watch at once is not asked without a rest.
                    self._closed.wait(self._retry_s - (time.monotonic() - began_s))
            except _ERRORS as error:
                self._know(error=error)
            self._closed.wait(self._retry_s)

    def _list(self) -> str:
        """Reads it whole. The result is the version it was read at."""
        # Any version will do that the API server remembers; without this it reads its store anew each time.
        with self._ask({"resourceVersion": "0"}, _TIMEOUT_S) as answer:
            said = answer.json()
        objects = {_key(each): each for each in said["items"] or []}
        self._know(objects)
        return str(said.get("metadata", {}).get("resourceVersion", ""))

    def _follow(self, at: str) -> str:
        """Takes in each change since this version until the server ends the answer; the result is the last one's.

        Raises ValueError when the server no longer remembers that version.
        """
        asked = {"watch": "1", "resourceVersion": at, "allowWatchBookmarks": "true", "timeoutSeconds": str(_WATCH_S)}
        with self._ask(asked, _WATCH_S + _TIMEOUT_S, stream=True) as answer:
            for line in answer.iter_lines(chunk_size=None):
                event = json.loads(line)
                kind, changed = event["type"], event["object"]
                if kind == "ERROR":
                    raise ValueError(changed.get("message", "the watch ended in an error"))
                if kind != "BOOKMARK":
                    self._take(changed, gone=kind == "DELETED")
                at = changed["metadata"]["resourceVersion"]
        return at

    def _ask(self, asked: Mapping[str, str], timeout_s: float, stream: bool = False) -> requests.Response:
        answer = self._session.get(
            self._url, params=dict(asked), timeout=(_TIMEOUT_S, timeout_s), stream=stream, **self._credentials()
        )
        answer.raise_for_status()
        return answer

    def _take(self, changed: Mapping[str, Any], *, gone: bool) -> None:
        objects = dict(self._objects or {})
        objects.pop(_key(changed), None)
        if not gone:
            objects[_key(changed)] = changed
        self._know(objects)

    def _know(
        self, objects: dict[tuple[str, str], Mapping[str, Any]] | None = None, error: Exception | None = None
    ) -> None:
        with self._changed:
            self._error = error
            if objects is not None:
                self._objects, self._version = objects, self._version + 1
            self._changed.notify_all()


def _key(of: Mapping[str, Any]) -> tuple[str, str]:
    return of["metadata"].get("namespace", ""), of["metadata"]["name"]
