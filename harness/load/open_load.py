"""Open load inside a locust process: every request begins at its planned instant and is timed from it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import quote, urlsplit

import gevent
from gevent.pool import Group
from geventhttpclient import HTTPClient
from geventhttpclient.response import HTTPConnectionClosed, HTTPParseError

from harness.load.arrivals import planned_offsets, prompts
from harness.load.shares import Share
from harness.load.window_file import open_window_file
from harness.load.windows import TIMEOUT, TOO_MANY, Windows

# A window's line may wait this long for the dispatcher, so that all arrivals due in the window are in it.
_CATCH_UP_S = 0.005
_HEADERS = {"Content-Type": "application/json"}


class RequestFailed(Exception):
    """A request's outcome in one of a few fixed words, so that statistics by error stay small."""


class OpenLoad:
    """One run of the load in this process: the dispatcher, the requests under way, and the windows written of them.

    It goes by the options of the locustfile, which ``environment`` holds beside locust's events and runner.
    """

    def __init__(self, environment: Any, share: Share) -> None:
        self._environment = environment
        self._share = share
        self._options = environment.parsed_options
        url = urlsplit(environment.host)
        self._path = f"{url.path.rstrip('/')}/v1/models/{quote(self._options.model_name, safe='')}/generate"
        self._name = f"{url.path.rstrip('/')}/v1/models/[model]/generate"
        self._client = HTTPClient.from_url(
            environment.host,
            concurrency=self._options.max_in_flight,
            connection_timeout=self._options.request_timeout,
            network_timeout=self._options.request_timeout,
        )
        path: Path | None = self._options.window_file
        self._file: TextIO | None = open_window_file(path) if path else None
        self._requests = Group()
        self._due_s: dict[int, float] = {}  # of each request under way, by its number
        self._next_due_s = 0.0
        self._begin_s = time.monotonic() + share.begin_unix_s - time.time()
        self._windows = Windows(
            begin_unix_s=share.begin_unix_s,
            width_s=self._options.window,
            rate=self._options.rate / share.workers,
            worker=share.worker,
        )
        self._greenlets = [self._spawn(self._dispatch), self._spawn(self._write_windows)]

    def stop_arrivals(self) -> None:
        """No further request begins."""
        self._greenlets[0].kill()

    def finish(self) -> None:
        """Waits a little for the answers still due, then writes the last windows."""
        self.stop_arrivals()
        self._requests.join(timeout=self._options.drain)
        self._greenlets[1].kill()
        now_s = self._now_s()
        if now_s > 0:  # else the load was stopped before its begin
            self._write(self._windows.finish(now_s, waiting_s=[now_s - due_s for due_s in self._due_s.values()]))
        self._requests.kill()
        self._client.close()
        if self._file:
            self._file.close()

    def _dispatch(self) -> None:
        options = self._options
        offsets = planned_offsets(rate=options.rate, arrivals=options.arrivals, seed=options.seed)
        planned = enumerate(zip(offsets, prompts(seed=options.seed), strict=False))
        for number, (due_s, prompt) in self._share.of(planned):
            self._next_due_s = due_s
            if due_s >= self._share.run_time_s:
                return
            # A dispatcher that is late still lets the requests it began go on.
            gevent.sleep(max(0.0, due_s - self._now_s()))
            self._windows.planned(due_s)
            if len(self._due_s) >= options.max_in_flight:
                self._end(TOO_MANY, latency_s=None)
                continue
            self._due_s[number] = due_s
            body = json.dumps({"prompt": prompt, "max_tokens": options.max_tokens}).encode()
            self._requests.add(self._spawn(self._request, number, due_s, body))

    def _request(self, number: int, due_s: float, body: bytes) -> None:
        begun_s = self._now_s()
        self._windows.begun(begun_s, lag_s=begun_s - due_s)
        length, reason = self._ask(body)
        del self._due_s[number]
        self._end(reason, latency_s=self._now_s() - due_s, length=length)

    def _ask(self, body: bytes) -> tuple[int, str | None]:
        """The answer's length, and why it is not a success."""
        try:
            with gevent.Timeout(self._options.request_timeout):
                response = self._client.post(self._path, body=body, headers=_HEADERS)
                length, status = len(response.read()), response.status_code
        except (gevent.Timeout, TimeoutError):
            return 0, TIMEOUT
        except ConnectionRefusedError:
            return 0, "refused"
        except (ConnectionError, HTTPConnectionClosed):
            return 0, "closed"
        except HTTPParseError:
            return 0, "malformed"
        except OSError:
            return 0, "unreachable"
        return length, None if 200 <= status < 300 else f"http_{status // 100}xx"

    def _end(self, reason: str | None, *, latency_s: float | None, length: int = 0) -> None:
        self._windows.ended(self._now_s(), latency_s=latency_s, reason=reason)
        self._environment.events.request.fire(
            request_type="POST",
            name=self._name,
            response_time=None if latency_s is None else latency_s * 1000,
            response_length=length,
            exception=RequestFailed(reason) if reason else None,
            context={},
        )

    def _write_windows(self) -> None:
        width_s = self._options.window
        while True:
            now_s = self._now_s()
            dispatched_s = now_s if self._greenlets[0].dead else min(now_s, self._next_due_s)
            self._write(self._windows.close_until(dispatched_s, in_flight=len(self._due_s)))
            gevent.sleep(_CATCH_UP_S if dispatched_s < now_s else width_s - now_s % width_s)

    def _write(self, lines: Iterable[str]) -> None:
        for line in lines:
            if self._file:
                self._file.write(line)
                self._file.flush()

    def _now_s(self) -> float:
        return time.monotonic() - self._begin_s

    def _spawn(self, work: Callable[..., None], *args: object) -> gevent.Greenlet:
        greenlet = gevent.spawn(work, *args)
        greenlet.link_exception(self._abandon)
        return greenlet

    def _abandon(self, _greenlet: gevent.Greenlet) -> None:
        """Ends locust after a defect in the load itself, of which gevent has printed the traceback."""
        self._environment.process_exit_code = 2
        gevent.spawn(self._environment.runner.quit)
