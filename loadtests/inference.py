"""Open load on an inference service: requests are due at planned instants, answered or not.

    locust -f loadtests/inference.py --headless --host http://127.0.0.1:8080 --rate 20 -t 30s

Each request is timed from the instant it was due. Users who wait for an answer before they ask again would
ask less while the service stalls, and the stall would hardly show. --rate says how much load all processes together
make, --users has no use here. Without -t it ends after 60 s.
The options are those in ``add_options``; locust's --help does not read this file.

More load than one process can make comes from workers, each of which sends its share of the same arrivals; the
master sends none. All options are the master's, but for a worker's own --window-file and locust's own of workers:

    locust -f loadtests/inference.py --headless --host … --rate 20 -t 30s --master --expect-workers 2
    locust -f loadtests/inference.py --worker --master-host 127.0.0.1 --window-file windows-0.jsonl

A worker that is lost takes its share with it: its windows end, and nobody sends in its place. One that comes after
the begin has no share and ends at once.

Load goes to this machine only. To load another host on purpose, name it in the environment of every process:
HARNESS_LOAD_ALLOW=gpu-node-7.example
"""

from __future__ import annotations

import argparse
import logging
import os
import time
from collections.abc import Iterator
from typing import Any

import gevent
import locust
from locust.runners import LocalRunner, MasterRunner, WorkerRunner

from harness.load.arrivals import ARRIVALS
from harness.load.open_load import OpenLoad
from harness.load.shares import BEGIN_LEAD_S, NoShare, Share, share_out, take_share
from harness.load.target import ALLOW_VARIABLE, TargetRefused, check_target
from harness.load.window_file import window_file

MAX_RATE = 5000.0
DEFAULT_RUN_TIME_S = 60
# With more, file descriptors may pass 1023, which the HTTP client's check of idle connections cannot take.
MAX_IN_FLIGHT = 900
# Locust's clock for -t starts before the load is shared out, and must not cut the end of the workers' plan.
_MASTER_EXTRA_S = BEGIN_LEAD_S + 0.5


class Arrivals(locust.User):
    """What locust counts as its user; the dispatcher makes the requests, also where a worker has no user."""

    fixed_count = 1

    @locust.task
    def wait_for_the_end(self) -> None:
        """Returns when locust stops its users."""
        gevent.sleep(DEFAULT_RUN_TIME_S)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The load's own options, beside locust's."""
    option = parser.add_argument_group("Open load").add_argument
    option("--rate", type=float, default=20.0, help=f"arrivals per second, at most {MAX_RATE:g} a process (20)")
    option("--arrivals", choices=ARRIVALS, default="poisson", help="how they are spaced (poisson)")
    option("--seed", type=int, default=1, help="of arrivals and prompts (1)")
    option("--model-name", default="demo-lm", help="the model asked (demo-lm)")
    option("--max-tokens", type=int, default=16, help="tokens asked for in each request (16)")
    option("--request-timeout", type=float, default=10.0, help="seconds from sending to giving up (10)")
    option("--max-in-flight", type=int, default=MAX_IN_FLIGHT, help="of a process; further arrivals are errors (900)")
    option("--drain", type=float, default=2.0, help="seconds to wait at the end for answers (2)")
    option("--window", type=float, default=0.5, help="seconds summed up in one line (0.5)")
    option("--window-file", type=window_file, help="JSON Lines file to append a line per window to; - is stdout")


def check_options(environment: Any, **_: object) -> None:
    """Ends locust with every mistake in its options, before anything is sent."""
    options, runner = environment.parsed_options, environment.runner
    mistakes = []
    if options.processes:
        mistakes.append("--processes: all would write one --window-file; run a --master and each --worker by itself")
    elif not isinstance(runner, WorkerRunner):  # a worker's options come from its master, checked
        mistakes += _option_mistakes(environment)
    if mistakes:
        raise SystemExit("\n".join(mistakes))
    options.run_time = options.run_time or DEFAULT_RUN_TIME_S
    if isinstance(runner, MasterRunner):
        del options.window_file  # locust would put the master's in the place of each worker's own
        if options.headless:
            options.run_time += _MASTER_EXTRA_S


def begin(environment: Any, **_: object) -> None:
    """Starts the load, in a master that of its workers.

    The target is checked again, since locust's web page can change it and a worker hears of it only now.
    """
    options, runner = environment.parsed_options, environment.runner
    try:
        check_target(environment.host or "", allowed=os.environ.get(ALLOW_VARIABLE))
        if isinstance(runner, MasterRunner):
            _share_out(environment)
            return
        share = _share(environment)
    except (TargetRefused, NoShare) as error:
        _give_up(environment, str(error))
        return
    of = "" if share.worker is None else f", as worker {share.worker} of {share.workers}"
    logging.info("%g arrivals per second, %s, seed %d%s", options.rate, options.arrivals, options.seed, of)
    environment.open_load = OpenLoad(environment, share)


def stop_arrivals(environment: Any, **_: object) -> None:
    """Nothing new begins while locust stops."""
    if load := getattr(environment, "open_load", None):
        load.stop_arrivals()


def finish(environment: Any, **_: object) -> None:
    """Writes what is left."""
    if load := getattr(environment, "open_load", None):
        environment.open_load = None
        load.finish()


def _option_mistakes(environment: Any) -> Iterator[str]:
    options = environment.parsed_options
    processes = 1 if isinstance(environment.runner, LocalRunner) else options.expect_workers
    for name, got, most in (
        ("rate", options.rate, MAX_RATE * processes),
        ("max-in-flight", options.max_in_flight, MAX_IN_FLIGHT),
        ("request-timeout", options.request_timeout, 600),
        ("window", options.window, 60),
    ):
        if not 0 < got <= most:
            yield f"--{name}: got {got:g}, expected a number above 0 and at most {most:g}"
    if not 0 <= options.drain <= 600:
        yield f"--drain: got {options.drain:g}, expected 0 to 600 seconds"
    if isinstance(environment.runner, MasterRunner) and options.window_file:
        yield "--window-file: a master sends nothing that it could write of; give one to each worker"
    if options.headless or environment.host:
        try:
            check_target(environment.host or "", allowed=os.environ.get(ALLOW_VARIABLE))
        except TargetRefused as error:
            yield f"--host: {error}"


def _share_out(environment: Any) -> None:
    """Divides the load among the workers that are there; locust sends the options to them right after this."""
    options, runner = environment.parsed_options, environment.runner
    ready = [worker.id for worker in runner.clients.ready]
    if options.headless and len(ready) != options.expect_workers:
        options.shares = None
        raise NoShare(f"{len(ready)} workers are there, --expect-workers says {options.expect_workers}; start again")
    run_time_s = options.run_time - (_MASTER_EXTRA_S if options.headless else 0)
    options.shares = share_out(ready, now_unix_s=time.time(), run_time_s=run_time_s)
    logging.info("%g arrivals per second in all, shared by %d workers", options.rate, len(ready))


def _share(environment: Any) -> Share:
    """What this process sends: everything, or a worker's part."""
    options, runner, now_unix_s = environment.parsed_options, environment.runner, time.time()
    if isinstance(runner, WorkerRunner):
        return take_share(getattr(options, "shares", None), runner.client_id, now_unix_s=now_unix_s)
    return Share(worker=None, workers=1, begin_unix_s=now_unix_s, run_time_s=options.run_time)


def _give_up(environment: Any, why: str) -> None:
    """Ends locust, which goes on for a moment until its other work lets it; with a web page, only this run."""
    logging.error("%s", why)
    environment.process_exit_code = 2
    options, runner = environment.parsed_options, environment.runner
    gevent.spawn(runner.quit if options.headless or options.worker else runner.stop)


_events: Any = locust.events
_events.init_command_line_parser.add_listener(add_options)
_events.init.add_listener(check_options)
_events.test_start.add_listener(begin)
_events.test_stopping.add_listener(stop_arrivals)
_events.test_stop.add_listener(finish)
