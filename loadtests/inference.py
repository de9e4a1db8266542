"""Open load on an inference service: requests are due at planned instants, answered or not.

    locust -f loadtests/inference.py --headless --host http://127.0.0.1:8080 --rate 20 -t 30s

Each request is timed from the instant it was due. Users who wait for an answer before they ask again would
ask less while the service stalls, and the stall would hardly show. One process makes all the load: --rate
says how much, --users, --processes and --worker have no use here. Without -t it ends after 60 s.
The options are those in ``add_options``; locust's --help does not read this file.

Load goes to this machine only. To load another host on purpose, name it in the environment:
HARNESS_LOAD_ALLOW=gpu-node-7.example
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import quote, urlsplit

import gevent
import locust
from gevent.pool import Group
from geventhttpclient import HTTPClient
from geventhttpclient.response import HTTPConnectionClosed, HTTPParseError
from locust.runners import LocalRunner

from harness.load.arrivals import ARRIVALS, planned_offsets, prompts
from harness.load.target import ALLOW_VARIABLE, TargetRefused, check_target
from harness.load.windows import TIMEOUT, TOO_MANY, Windows

MAX_RATE = 5000.0
DEFAULT_RUN_TIME_S = 60
# With more, file descriptors may pass 1023, which the HTTP client's check of idle connections cannot take.
MAX_IN_FLIGHT = 900
# A window's line may wait this long for the dispatcher, so that all arrivals due in the window are in it.
_CATCH_UP_S = 0.005
_HEADERS = {"Content-Type": "application/json"}


class RequestFailed(Exception):
    """A request's outcome in one of a few fixed words, so that statistics by error stay small."""


class Arrivals(locust.User):
    """What locust counts as its user; the dispatcher makes the requests."""

    fixed_count = 1

    @locust.task
    def wait_for_the_end(self) -> None:
        """Returns when locust stops its users."""
        gevent.sleep(DEFAULT_RUN_TIME_S)


class OpenLoad:
    """One run of the load: the dispatcher, the requests under way, and the windows written of them."""

    def __init__(self, environment: Any) -> None:
        self._environment = environment
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
        self._file: TextIO | None = path.open("a", encoding="utf-8") if path else None
        self._requests = Group()
        self._due_s: dict[int, float] = {}  # of each request under way, by its number
        self._next_due_s = 0.0
        self._begin_s = time.monotonic()
        self._windows = Windows(begin_unix_s=time.time(), width_s=self._options.window, rate=self._options.rate)
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
        self._write(self._windows.finish(now_s, waiting_s=[now_s - due_s for due_s in self._due_s.values()]))
        self._requests.kill()
        self._client.close()
        if self._file:
            self._file.close()

    def _dispatch(self) -> None:
        options = self._options
        offsets = planned_offsets(rate=options.rate, arrivals=options.arrivals, seed=options.seed)
        for number, (due_s, prompt) in enumerate(zip(offsets, prompts(seed=options.seed), strict=False)):
            self._next_due_s = due_s
            if due_s >= options.run_time:
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


def add_options(parser: argparse.ArgumentParser) -> None:
    """The load's own options, beside locust's."""
    option = parser.add_argument_group("Open load").add_argument
    option("--rate", type=float, default=20.0, help=f"arrivals per second, at most {MAX_RATE:g} (20)")
    option("--arrivals", choices=ARRIVALS, default="poisson", help="how they are spaced (poisson)")
    option("--seed", type=int, default=1, help="of arrivals and prompts (1)")
    option("--model-name", default="demo-lm", help="the model asked (demo-lm)")
    option("--max-tokens", type=int, default=16, help="tokens asked for in each request (16)")
    option("--request-timeout", type=float, default=10.0, help="seconds from sending to giving up (10)")
    option("--max-in-flight", type=int, default=MAX_IN_FLIGHT, help="further arrivals are errors (900)")
    option("--drain", type=float, default=2.0, help="seconds to wait at the end for answers (2)")
    option("--window", type=float, default=0.5, help="seconds summed up in one line (0.5)")
    option("--window-file", type=Path, help="JSON Lines file to append a line per window to")


def check_options(environment: Any, **_: object) -> None:
    """Ends locust with every mistake in its options, before anything is sent."""
    options = environment.parsed_options
    options.run_time = options.run_time or DEFAULT_RUN_TIME_S
    mistakes = [
        f"--{name}: got {got:g}, expected a number above 0 and at most {most:g}"
        for name, got, most in (
            ("rate", options.rate, MAX_RATE),
            ("max-in-flight", options.max_in_flight, MAX_IN_FLIGHT),
            ("request-timeout", options.request_timeout, 600),
            ("window", options.window, 60),
        )
        if not 0 < got <= most
    ]
    if not 0 <= options.drain <= 600:
        mistakes.append(f"--drain: got {options.drain:g}, expected 0 to 600 seconds")
    if not isinstance(environment.runner, LocalRunner):
        mistakes.append("several processes: each would send the whole --rate; run one")
    if options.headless or environment.host:
        try:
            check_target(environment.host or "", allowed=os.environ.get(ALLOW_VARIABLE))
        except TargetRefused as error:
            mistakes.append(f"--host: {error}")
    if mistakes:
        raise SystemExit("\n".join(mistakes))


def begin(environment: Any, **_: object) -> None:
    """Starts the load. The target is checked again, since locust's web page can change it."""
    check_target(environment.host or "", allowed=os.environ.get(ALLOW_VARIABLE))
    options = environment.parsed_options
    logging.info("%g arrivals per second, %s, seed %d", options.rate, options.arrivals, options.seed)
    environment.open_load = OpenLoad(environment)


def stop_arrivals(environment: Any, **_: object) -> None:
    """Nothing new begins while locust stops."""
    if load := getattr(environment, "open_load", None):
        load.stop_arrivals()


def finish(environment: Any, **_: object) -> None:
    """Writes what is left."""
    if load := getattr(environment, "open_load", None):
        environment.open_load = None
        load.finish()


_events: Any = locust.events
_events.init_command_line_parser.add_listener(add_options)
_events.init.add_listener(check_options)
_events.test_start.add_listener(begin)
_events.test_stopping.add_listener(stop_arrivals)
_events.test_stop.add_listener(finish)
