"""A master and its workers, by locust's own command, against a real service."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice, pairwise, takewhile
from pathlib import Path
from typing import Any

import pytest

from harness.clock import RunClock, wait_until
from harness.load.arrivals import planned_offsets, prompts
from harness.load.window_reader import WindowReader
from tests.load.load_service import Answer, Service

pytestmark = pytest.mark.e2e
LOCUSTFILE = Path(__file__).parents[2] / "loadtests" / "inference.py"
END_S = 30


class Locusts:
    """The processes of one load, each with its output in files of its name; all are ended with the context."""

    def __init__(self, directory: Path, ended: ExitStack) -> None:
        self.directory = directory
        self._ended = ended
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]

    def start(self, name: str, *options: str, **variables: str) -> subprocess.Popen[bytes]:
        ours = ("LOCUST_", "HARNESS_")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
        paths = [str(LOCUSTFILE.parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
        with (self.directory / f"{name}.out").open("wb") as out, (self.directory / f"{name}.err").open("wb") as err:
            process = subprocess.Popen(
                [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), *options],
                cwd=self.directory,
                env=kept | {"HOME": str(self.directory), "PYTHONPATH": os.pathsep.join(paths)} | variables,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )
        self._ended.callback(process.wait)
        self._ended.callback(process.kill)
        return process

    def master(self, *options: str, workers: int = 2, **variables: str) -> subprocess.Popen[bytes]:
        place = ("--master-bind-host=127.0.0.1", f"--master-bind-port={self._port}", f"--expect-workers={workers}")
        return self.start("master", "--headless", "--only-summary", "--master", *place, *options, **variables)

    def worker(self, name: str, *options: str, **variables: str) -> subprocess.Popen[bytes]:
        """Its windows go to its standard output unless the options say otherwise."""
        place = ("--master-host=127.0.0.1", f"--master-port={self._port}", "--window-file=-", "--loglevel=ERROR")
        return self.start(name, "--worker", *place, *options, **variables)

    def said(self, name: str) -> str:
        return (self.directory / f"{name}.err").read_text()

    def windows(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.directory / f"{name}.out").read_text().splitlines()]


@pytest.fixture
def locusts(tmp_path: Path) -> Iterator[Locusts]:
    with ExitStack() as ended:
        yield Locusts(tmp_path, ended)


class Record:
    """What a reader of each worker recorded."""

    def __init__(self, directory: Path, *workers: str) -> None:
        self.events: dict[str, list[tuple[str, Any]]] = {worker: [] for worker in workers}
        clock = RunClock.start()
        self._readers = [
            WindowReader(
                directory / f"{worker}.out",
                clock=clock,
                record=lambda kind, _name, data, into=into: into.append((kind, data)),
                silence_s=1.0,
                source=worker,
            )
            for worker, into in self.events.items()
        ]

    def of(self, kind: str, worker: str) -> list[Any]:
        return [data for seen, data in self.events[worker] if seen == kind]

    def wait(self, probe: Callable[[], Any], what: str) -> None:
        def polled() -> bool:
            for reader in self._readers:
                reader.poll()
            return bool(probe())

        wait_until(polled, what=what, timeout_s=END_S, last=lambda: str(self.events)[-500:])


async def answer_at_once(_number: int, _body: bytes) -> int:
    return 200


def planned(*, rate: float, seed: int, run_s: float) -> list[str]:
    """The prompts that one process would send in this time."""
    offsets = takewhile(lambda due_s: due_s < run_s, planned_offsets(rate=rate, arrivals="poisson", seed=seed))
    return [prompt for _, prompt in zip(offsets, prompts(seed=seed), strict=False)]


def test_two_workers_send_each_arrival_of_the_plan_once(
    serve: Callable[[Answer], Service], locusts: Locusts, tmp_path: Path
) -> None:
    service = serve(answer_at_once)
    master = locusts.master(f"--host={service.url}", "--rate=40", "--seed=9", "--window=0.25", "-t2s", "--drain=0.5")
    # What a worker is told of the load counts for nothing, but its window file is its own.
    to_file = locusts.worker("first", "--window-file=first.jsonl", "--rate=7", "--seed=3")
    to_output = locusts.worker("second")
    assert [process.wait(timeout=END_S) for process in (master, to_file, to_output)] == [0, 0, 0]

    plan = planned(rate=40, seed=9, run_s=2)
    assert sorted(json.loads(body)["prompt"] for body in service.bodies) == sorted(plan)
    assert locusts.windows("first") == locusts.windows("master") == []
    one = [json.loads(line) for line in (tmp_path / "first.jsonl").read_text().splitlines()]
    two = locusts.windows("second")
    assert sum(window["planned"] for window in one + two) == len(plan)
    assert abs(sum(window["planned"] for window in one) - len(plan) / 2) <= 1
    assert sum(window["requests"] for window in one + two) == len(plan)
    assert {window["worker"] for window in one} | {window["worker"] for window in two} == {0, 1}
    assert {window["rate_planned"] for window in one + two} == {20.0}
    assert one[0]["from_unix_s"] == two[0]["from_unix_s"], "all begin at one instant"
    for windows in (one, two):
        assert len({window["worker"] for window in windows}) == 1
        assert all(earlier["to_unix_s"] == later["from_unix_s"] for earlier, later in pairwise(windows))
        # Whatever else the machine does: a share that came too late, or a clock misread, would make it a second.
        assert max(window["lag_p99_s"] or 0.0 for window in windows) < 0.5
    assert locusts.said("first") == locusts.said("second") == ""


def test_one_process_sends_the_same_plan(serve: Callable[[Answer], Service], locusts: Locusts) -> None:
    service = serve(answer_at_once)
    options = ("--headless", "--only-summary", f"--host={service.url}", "--rate=40", "--seed=9", "-t2s")
    assert locusts.start("alone", *options, "--window-file=-").wait(timeout=END_S) == 0
    plan = planned(rate=40, seed=9, run_s=2)
    sent = [json.loads(body)["prompt"] for body in service.bodies]
    # Locust's clock for -t starts a moment before the load does.
    assert 0 <= len(plan) - len(sent) <= 4
    assert sorted(sent) == sorted(plan[: len(sent)])
    assert not any("worker" in window for window in locusts.windows("alone"))


def test_a_lost_worker_is_a_gap_whose_share_nobody_takes_and_a_late_one_has_none(
    serve: Callable[[Answer], Service], locusts: Locusts, tmp_path: Path
) -> None:
    locusts.master(f"--host={serve(answer_at_once).url}", "--rate=40", "--window=0.1", "-t60s", "--enable-rebalancing")
    lost, kept = locusts.worker("lost"), locusts.worker("kept")
    record = Record(tmp_path, "lost", "kept")
    record.wait(lambda: record.of("load", "lost") and record.of("load", "kept"), "windows of both")
    assert record.of("gap", "lost") == record.of("gap", "kept") == []

    lost.kill()
    record.wait(lambda: record.of("gap", "lost"), "a gap of the killed worker")
    gap = record.of("gap", "lost")[0]
    assert gap["error"] == "lost wrote no window"
    assert gap["from_s"] == record.of("load", "lost")[-1]["to_s"]

    late = locusts.worker("late")
    record.wait(lambda: late.poll() is not None, "the end of the late worker")
    assert late.returncode == 2
    assert "this worker has no share of the load, which was divided among 2 others" in locusts.said("late")
    assert locusts.windows("late") == []

    seen = len(record.of("load", "kept"))
    record.wait(lambda: len(record.of("load", "kept")) > seen + 15, "more windows of the worker left")
    assert kept.poll() is None
    windows = record.of("load", "kept")
    assert {window["rate"] for window in windows} == {20.0}
    own = range(windows[0]["worker"], 10_000, 2)
    dues_s = list(islice(planned_offsets(rate=40, arrivals="poisson", seed=1), 10_000))
    told_s = windows[-1]["to_s"] - windows[0]["from_s"]
    assert sum(window["planned"] for window in windows) == sum(dues_s[number] < told_s for number in own)


def test_a_master_that_is_ended_ends_its_workers_with_their_last_windows(
    serve: Callable[[Answer], Service], locusts: Locusts, tmp_path: Path
) -> None:
    service = serve(answer_at_once)
    master = locusts.master(f"--host={service.url}", "--rate=40", "--window=0.1", "-t60s")
    workers = [locusts.worker(name) for name in ("first", "second")]
    record = Record(tmp_path, "first", "second")
    record.wait(lambda: record.of("load", "first") and record.of("load", "second"), "windows of both")
    master.terminate()
    assert [process.wait(timeout=END_S) for process in (master, *workers)] == [0, 0, 0]
    sent = sum(window["planned"] for name in ("first", "second") for window in locusts.windows(name))
    assert sent == len(service.bodies) > 0


def test_a_worker_judges_the_target_itself(locusts: Locusts) -> None:
    master = locusts.master("--host=http://192.0.2.1", "-t60s", workers=1, HARNESS_LOAD_ALLOW="192.0.2.1")
    worker = locusts.worker("worker")
    assert worker.wait(timeout=END_S) == 2
    (said,) = locusts.said("worker").splitlines()
    assert "192.0.2.1, which is not this machine; to load it on purpose, set HARNESS_LOAD_ALLOW" in said
    assert locusts.windows("worker") == []
    master.wait(timeout=END_S)
    assert "The last worker quit, stopping test" in locusts.said("master")


@contextmanager
def refused(locusts: Locusts, *options: str, workers: int = 2) -> Iterator[str]:
    """What a master says that does not even wait for its workers."""
    assert locusts.master(*options, workers=workers).wait(timeout=END_S) == 1
    assert "Traceback" not in locusts.said("master")
    yield locusts.said("master")


def test_a_masters_mistakes_are_told_at_once_and_all_together(locusts: Locusts) -> None:
    options = ("--host=http://192.0.2.1", "--rate=10001", "--window-file=windows.jsonl")
    with refused(locusts, *options) as said:
        assert "--rate: got 10001, expected a number above 0 and at most 10000" in said
        assert "--window-file: a master sends nothing that it could write of; give one to each worker" in said
        assert "--host: load target 'http://192.0.2.1'" in said
    assert not (locusts.directory / "windows.jsonl").exists()


def test_processes_of_one_command_are_refused_since_they_would_share_a_file(locusts: Locusts) -> None:
    process = locusts.start("alone", "--headless", "--host=http://127.0.0.1:9", "--processes=2", "--window-file=w")
    process.wait(timeout=END_S)
    assert "--processes: all would write one --window-file" in locusts.said("alone")
    assert not (locusts.directory / "w").exists()
