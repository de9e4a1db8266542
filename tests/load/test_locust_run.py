"""Locust against a real service: what it records of stalls, errors, its own silence and its own end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness.clock import RunClock, wait_until
from harness.errors import HarnessError
from harness.latencies import Latencies
from harness.load.locust_run import LoadPlan, LocustRun
from tests.load.load_service import Answer, Service

pytestmark = pytest.mark.e2e
PLAN = LoadPlan(base_url="http://127.0.0.1:9", rate=40, duration_s=30, seed=5, window_s=0.1)


class Load:
    """A LocustRun and what it recorded."""

    def __init__(self, plan: LoadPlan, run_dir: Path) -> None:
        self.events: list[tuple[str, str, Mapping[str, Any]]] = []
        self.clock = RunClock.start()
        self.run = LocustRun(
            plan,
            run_dir=run_dir,
            clock=self.clock,
            record=lambda kind, name, data: self.events.append((kind, name, data)),
            silence_s=1.0,
        )

    def windows(self) -> list[Mapping[str, Any]]:
        return [data for kind, name, data in self.events if (kind, name) == ("load", "window")]

    def gaps(self) -> list[Mapping[str, Any]]:
        return [data for kind, name, data in self.events if (kind, name) == ("gap", "load")]

    def total(self, key: str) -> int:
        return sum(window[key] for window in self.windows())

    def latencies(self, key: str = "latency_buckets") -> Latencies:
        return Latencies().merge(*(Latencies.from_json(window[key]) for window in self.windows()))

    def reasons(self) -> dict[str, int]:
        counts: dict[str, int] = {}
        for window in self.windows():
            for reason, count in window["reasons"].items():
                counts[reason] = counts.get(reason, 0) + count
        return counts

    def wait(self, probe: Callable[[], Any], what: str, timeout_s: float = 20.0) -> None:
        def polled() -> bool:
            self.run.poll()
            return bool(probe())

        wait_until(polled, what=what, timeout_s=timeout_s, last=lambda: str(self.events[-1:]))


@contextmanager
def loaded(plan: LoadPlan, run_dir: Path) -> Iterator[Load]:
    load = Load(plan, run_dir)
    load.run.start()
    try:
        yield load
    finally:
        load.run.stop()


async def answer_at_once(_number: int, _body: bytes) -> int:
    return 200


def test_a_stall_shows_in_p95_as_it_was_for_those_who_came_meanwhile(
    serve: Callable[[Answer], Service], tmp_path: Path
) -> None:
    stall_s, edges_s, ended = 0.9, [], asyncio.Event()

    async def stall_once(number: int, _body: bytes) -> int:
        if number == 40:  # half a second in
            edges_s.append(time.monotonic())
            await asyncio.sleep(stall_s)
            edges_s.append(time.monotonic())
            ended.set()
        elif number > 40:
            await ended.wait()
        return 200

    plan = replace(PLAN, base_url=serve(stall_once).url, arrivals="uniform", rate=80)
    with loaded(plan, tmp_path) as load:
        load.wait(lambda: load.total("requests") >= 160, "160 requests")
    assert load.total("errors") == 0
    # Arrivals came evenly during the stall. Those who waited longest, and whom p95 leaves out, came in its
    # first part: a twentieth of all, at 80 a second.
    truth_s = edges_s[1] - edges_s[0] - 0.05 * load.total("requests") / plan.rate
    assert load.latencies().quantile(0.95) == pytest.approx(truth_s, abs=0.15)
    assert load.latencies().quantile(0.5) < 0.3 * truth_s


def test_without_a_stall_p95_is_short_and_every_arrival_is_accounted_for(
    serve: Callable[[Answer], Service], tmp_path: Path
) -> None:
    service = serve(answer_at_once)
    with loaded(replace(PLAN, base_url=service.url, model_name="tiny lm"), tmp_path) as load:
        load.wait(lambda: load.total("requests") >= 20, "20 requests")
        assert load.run.alive
    assert load.total("planned") == load.total("requests") + load.total("unfinished") == len(service.bodies)
    assert load.reasons() == {}
    assert load.gaps() == []
    assert load.latencies().quantile(0.5) < 0.2
    edges = [(window["from_s"], window["to_s"]) for window in load.windows()]
    assert all(earlier[1] == later[0] for earlier, later in pairwise(edges))
    assert 0 < edges[0][0] < edges[-1][1] <= load.clock.now_s()
    assert service.paths == {"/v1/models/tiny%20lm/generate"}
    asked = [json.loads(body) for body in service.bodies]
    assert len({one["prompt"] for one in asked}) > 15
    assert {one["max_tokens"] for one in asked} == {16}

    pid, seen = load.run.pid, len(load.events)
    load.run.stop()
    load.run.poll()
    assert len(load.events) == seen, "a load that was stopped is no gap, and stopping it again does nothing"
    assert not load.run.alive
    assert pid is not None
    assert not psutil.pid_exists(pid)


def test_every_way_to_fail_is_an_error_with_its_reason(serve: Callable[[Answer], Service], tmp_path: Path) -> None:
    async def fail_in_turn(number: int, _body: bytes) -> int | None:
        if number % 5 == 4:
            await asyncio.sleep(3600)
        return (200, 503, 404, None)[number % 5]

    plan = replace(PLAN, base_url=serve(fail_in_turn).url, request_timeout_s=0.2)
    with loaded(plan, tmp_path) as load:
        load.wait(lambda: load.reasons().get("timeout", 0) >= 2, "two time-outs")
    assert set(load.reasons()) == {"http_5xx", "http_4xx", "closed", "timeout"}
    assert load.total("errors") == sum(load.reasons().values())
    waits = load.latencies()
    successes = load.total("requests") - load.total("errors")
    assert waits.count == successes + load.reasons()["timeout"] + load.total("unfinished")
    assert waits.quantile(1) > 0.19, "a time-out counts with the time it took"
    assert load.latencies("error_latency_buckets").count == load.total("errors") - load.reasons()["timeout"]


def test_a_service_that_is_not_there_is_all_errors_and_no_latency(tmp_path: Path) -> None:
    with socket.socket() as taken:  # bound, not listening: nobody else can answer there
        taken.bind(("127.0.0.1", 0))
        with loaded(replace(PLAN, base_url=f"http://127.0.0.1:{taken.getsockname()[1]}"), tmp_path) as load:
            load.wait(lambda: load.total("requests") >= 5, "five requests")
    assert load.reasons() == {"refused": load.total("requests")}
    assert load.latencies().quantile(0.95) is None


def test_silence_damage_and_death_of_locust_are_each_a_gap(serve: Callable[[Answer], Service], tmp_path: Path) -> None:
    with loaded(replace(PLAN, base_url=serve(answer_at_once).url), tmp_path) as load:
        load.wait(lambda: load.run.windows, "a window")
        pid = load.run.pid
        assert pid is not None

        os.kill(pid, signal.SIGSTOP)
        load.wait(lambda: load.gaps(), "a gap for the silence")
        silent = load.gaps()[-1]
        assert "wrote no window" in silent["error"]
        assert silent["from_s"] == load.windows()[-1]["to_s"] < silent["to_s"]

        os.kill(pid, signal.SIGCONT)
        load.wait(lambda: load.windows()[-1]["from_s"] > silent["to_s"], "windows after the silence")
        # Nobody was asked meanwhile, but those who would have asked have waited, and the lag says why.
        held_up_s = 0.9 * (silent["to_s"] - silent["from_s"])
        assert load.latencies().quantile(1) > held_up_s
        assert max(window["lag_p99_s"] or 0 for window in load.windows()) > held_up_s

        with (tmp_path / "load-windows.jsonl").open("a") as file:
            file.write("[1, 2]\n")
        load.wait(lambda: "not a window" in load.gaps()[-1]["error"], "a gap for the damage")

        os.kill(pid, signal.SIGKILL)
        load.wait(lambda: "ended by itself" in load.gaps()[-1]["error"], "a gap for the death")
        assert "status -9" in load.gaps()[-1]["error"]
        assert not load.run.alive
    assert load.gaps()[-1]["to_s"] >= load.gaps()[-2]["to_s"]


def test_locust_that_does_not_start_is_a_gap_with_what_it_said(tmp_path: Path) -> None:
    with loaded(replace(PLAN, base_url="http://192.0.2.1:80", rate=6000), tmp_path) as load:
        load.wait(lambda: load.gaps(), "a gap")
    assert "not this machine" in load.gaps()[0]["error"]
    assert "--rate: got 6000, expected a number above 0 and at most 5000" in load.gaps()[0]["error"]
    assert load.windows() == []


def test_load_ends_with_a_harness_that_was_killed(serve: Callable[[Answer], Service], tmp_path: Path) -> None:
    script = f"""
import pathlib, sys, time
from harness.clock import RunClock
from harness.load.locust_run import LoadPlan, LocustRun
plan = LoadPlan(base_url={serve(answer_at_once).url!r}, rate=40, duration_s=30, seed=5)
run = LocustRun(plan, run_dir=pathlib.Path({str(tmp_path)!r}), clock=RunClock.start(), record=lambda *_: None)
run.start()
print(run.pid, flush=True)
sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as harness:
        assert harness.stdout is not None
        locust = psutil.Process(int(harness.stdout.readline()))
        windows = tmp_path / "load-windows.jsonl"
        wait_until(lambda: windows.read_bytes() or None, what="a window of a load under way", timeout_s=20)
        assert locust.is_running()
        harness.kill()
    wait_until(
        lambda: not locust.is_running() or locust.status() == psutil.STATUS_ZOMBIE,
        what="the end of locust",
        timeout_s=5,
    )


def test_a_start_from_a_thread_is_refused_since_locust_would_end_with_it(tmp_path: Path) -> None:
    run, caught = Load(PLAN, tmp_path).run, []

    def start() -> None:
        try:
            run.start()
        except HarnessError as error:
            caught.append(str(error))

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert "started from a thread" in caught[0]
    assert run.pid is None


def test_a_second_load_in_one_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "load-windows.jsonl").write_text("{}\n")
    with pytest.raises(HarnessError, match="cannot be started in"):
        Load(PLAN, tmp_path).run.start()
    assert (tmp_path / "load-windows.jsonl").read_text() == "{}\n"


def test_what_is_configured_for_other_locust_runs_does_not_reach_this_one(
    serve: Callable[[Answer], Service], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere, run_dir = tmp_path / "elsewhere", tmp_path / "run"
    elsewhere.mkdir()
    run_dir.mkdir()
    for number, place in enumerate((".locust.conf", "locust.conf")):
        (elsewhere / place).write_text(f"json-file = {elsewhere}/from-file-{number}\n")
    monkeypatch.setenv("HOME", str(elsewhere))
    monkeypatch.setenv("LOCUST_CSV", str(elsewhere / "from-variable"))
    monkeypatch.chdir(elsewhere)
    with loaded(replace(PLAN, base_url=serve(answer_at_once).url), run_dir) as load:
        load.wait(lambda: load.run.windows, "a window")
    assert {path.name for path in elsewhere.iterdir()} == {".locust.conf", "locust.conf"}
