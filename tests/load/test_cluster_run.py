"""A load whose workers are pods: what it records of them, and that nothing of it stays. Pods are processes here."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness.clock import wait_until
from harness.environments.processes import process_started
from harness.errors import HarnessError
from harness.load.cluster_run import ClusterLoad
from harness.load.locust_run import LoadPlan
from tests.load.test_window_reader import BEGIN_UNIX_S, ClockByHand, line

PLAN = LoadPlan(base_url="http://model:8080", rate=20, duration_s=60, seed=7, window_s=0.25)
WORKERS = ("load-worker-0", "load-worker-1")


class Place:
    """A cluster of this machine's processes: a pod is one that sleeps, its output a file that ``tail`` follows."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.pids = folder / "pids"
        self.objects: list[Mapping[str, Any]] = []
        self.deleted = 0
        self.pods: dict[str, subprocess.Popen[bytes]] = {}
        self.run: Callable[[str], bool] = lambda pod: True
        self.at_the_end: Callable[[], None] = lambda: None
        self.follow: Callable[[str], list[str]] = self._tail

    def apply(self, objects: Sequence[Mapping[str, Any]]) -> None:
        self.objects += objects
        for name in (each["metadata"]["name"] for each in objects if each["kind"] == "Pod"):
            self.log(name).touch()
            self.pods[name] = subprocess.Popen(["sleep", "60"])

    def delete(self, objects: Sequence[Mapping[str, Any]]) -> None:
        assert list(objects) == self.objects or not self.objects
        self.deleted += 1
        self.at_the_end()
        self.end(*self.pods)

    def running(self, pod: str, namespace: str) -> bool:
        assert namespace == "load"
        process = self.pods.get(pod)
        return self.run(pod) and (process is None or process.poll() is None)

    def why_not_running(self, pod: str, namespace: str) -> str:
        assert namespace == "load"
        return f"{pod} cannot be pulled"

    def log_argv(self, pod: str, namespace: str) -> list[str]:
        assert namespace == "load"
        return self.follow(pod)

    def log(self, pod: str) -> Path:
        return self._folder / f"{pod}.log"

    def writes(self, *pods: str, text: str) -> None:
        for pod in pods:
            with self.log(pod).open("a", encoding="utf-8") as file:
                file.write(text)

    def end(self, *pods: str) -> None:
        for pod in pods:
            self.pods[pod].kill()
            self.pods[pod].wait()

    def follows(self, script: str, *args: str) -> list[str]:
        """A follower that runs this script, its number kept."""
        return ["sh", "-c", f'echo $$ >> "$0"; {script}', str(self.pids), *args]

    def _tail(self, pod: str) -> list[str]:
        script = 'exec tail -n +1 -s 0.02 --pid="$1" -f "$2"'
        return self.follows(script, str(self.pods[pod].pid), str(self.log(pod)))


class Load:
    """A ClusterLoad in a place, with a clock by hand, and what it recorded."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        (folder / "pods").mkdir()
        self.run_dir = folder / "run"
        self.run_dir.mkdir()
        self.place = Place(folder / "pods")
        self.clock = ClockByHand(origin_monotonic_s=0.0, origin_unix_s=BEGIN_UNIX_S)
        self.events: list[tuple[str, str, Mapping[str, Any]]] = []
        self.run = ClusterLoad(
            PLAN,
            self.place,
            namespace="load",
            image="workloads:1",
            workers=len(WORKERS),
            labels={"run": "r"},
            allow_host="model",
            run_dir=self.run_dir,
            clock=self.clock,
            record=lambda kind, name, data: self.events.append((kind, name, data)),
            **settings,
        )

    def of(self, kind: str) -> list[Mapping[str, Any]]:
        return [data for what, _, data in self.events if what == kind]

    def polled(self, enough: Callable[[], object], what: str) -> None:
        def polled() -> bool:
            self.run.poll()
            return bool(enough())

        wait_until(polled, what=what, timeout_s=10, last=lambda: str(self.events[-2:]))

    def followers(self) -> list[int]:
        """The numbers of the processes that still follow a pod's output."""
        pids = self.place.pids.read_text(encoding="utf-8").split() if self.place.pids.exists() else []
        return [int(pid) for pid in pids if process_started(int(pid)) is not None]


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Load]:
    load = Load(tmp_path)
    yield load
    load.place.end(*load.place.pods)
    for pid in load.followers():
        os.kill(pid, signal.SIGKILL)


def test_the_windows_of_every_worker_are_recorded_as_they_come(load: Load) -> None:
    load.place.writes(WORKERS[0], text=line(0.0, worker=0))
    load.run.start()
    load.place.writes(WORKERS[1], text=line(0.0, worker=1))
    load.polled(lambda: load.run.windows == 1, "a window of each")
    load.place.writes(WORKERS[0], text=line(1.0, worker=0))
    load.polled(lambda: len(load.of("load")) == 3, "another of one")
    assert sorted((each["from_s"], each["worker"]) for each in load.of("load")) == [(0.0, 0), (0.0, 1), (1.0, 0)]
    assert load.run.windows == 1, "of the worker that wrote fewest"
    assert load.of("gap") == []
    assert (load.run_dir / "load-windows-0.jsonl").read_text() == line(0.0, worker=0) + line(1.0, worker=0)


def test_before_it_has_begun_there_are_no_windows(load: Load) -> None:
    load.run.poll()
    assert (load.run.windows, load.events) == (0, [])


def test_it_has_begun_once_all_of_its_pods_run(load: Load) -> None:
    asked: list[str] = []

    def second_time(pod: str) -> bool:
        asked.append(pod)
        return asked.count(pod) > 1

    load.place.run = second_time
    load.run.start()
    assert set(asked) == set(WORKERS)
    assert [each["metadata"]["name"] for each in load.place.objects if each["kind"] == "Pod"] == [
        "load-master",
        *WORKERS,
    ]
    assert {each["metadata"]["namespace"] for each in load.place.objects} == {"load"}
    assert {each["metadata"]["labels"]["run"] for each in load.place.objects} == {"r"}


def test_pods_that_do_not_run_are_an_error_and_do_not_stay(tmp_path: Path) -> None:
    load = Load(tmp_path, start_s=0.2)
    load.place.run = lambda pod: pod == WORKERS[0]
    with pytest.raises(HarnessError) as raised:
        load.run.start()
    assert str(raised.value) == "\n".join(
        ["load: its pods do not run after 0.2 s", *(f"  {each}: {each} cannot be pulled" for each in WORKERS[1:])]
    )
    assert load.followers() == []
    load.run.stop()
    assert load.place.deleted == 1
    assert load.events == []


def test_a_pod_that_ends_at_once_is_an_error_in_its_places_words(load: Load) -> None:
    def ended(pod: str) -> bool:
        raise HarnessError(f"pod {pod} ended as soon as it was started")

    load.place.run = ended
    with pytest.raises(HarnessError, match="pod load-worker-0 ended as soon as it was started"):
        load.run.start()
    load.run.stop()
    assert load.place.deleted == 1


def test_a_load_that_never_began_can_be_stopped(load: Load) -> None:
    load.run.stop()
    assert load.place.deleted == 1
    assert load.events == []


def test_output_that_cannot_be_followed_is_an_error_and_nothing_stays(load: Load) -> None:
    (load.run_dir / "load-windows-1.jsonl").touch()  # of an earlier load: it is not written to
    with pytest.raises(HarnessError, match=r"load: the output of load-worker-1 cannot be followed"):
        load.run.start()
    load.run.stop()
    assert load.place.deleted == 1
    assert load.followers() == []


def test_a_worker_that_is_lost_is_a_gap_from_then_on_and_the_other_goes_on(load: Load) -> None:
    load.run.start()
    load.place.writes(WORKERS[0], text=line(0.0, worker=0))
    load.place.writes(WORKERS[1], text=line(0.0, worker=1))
    load.polled(lambda: load.run.windows == 1, "a window of each")
    load.clock.at_s = 2.1
    load.place.writes(WORKERS[1], text=line(1.0, worker=1))  # its last one is read too
    load.place.end(WORKERS[1])
    load.polled(lambda: load.of("gap"), "the loss is told")
    assert [each["worker"] for each in load.of("load")].count(1) == 2
    (gap,) = load.of("gap")
    assert gap["error"].startswith("load-worker-1 ended, or its output cannot be followed any more")
    assert gap["from_s"] == 2.0
    load.clock.at_s = 2.5
    load.place.writes(WORKERS[0], text=line(1.0, worker=0))
    load.polled(lambda: len(load.of("load")) == 4, "the other goes on")
    assert len(load.of("gap")) == 1
    load.clock.at_s = 5.0
    load.run.stop()
    last = load.of("gap")[-1]
    assert (last["from_s"], last["to_s"], last["error"]) == (2.1, 5.0, "load-worker-1 had ended by itself")
    assert len(load.of("gap")) == 2


def test_a_worker_that_is_silent_is_a_gap(load: Load) -> None:
    load.run.start()
    load.place.writes(WORKERS[0], text=line(0.0, worker=0))
    load.place.writes(WORKERS[1], text=line(0.0, worker=1))
    load.polled(lambda: load.run.windows == 1, "a window of each")
    load.clock.at_s = 2.9
    load.place.writes(WORKERS[0], text=line(1.0, worker=0))
    load.polled(lambda: len(load.of("load")) == 3, "one goes on")
    assert load.of("gap") == []
    load.clock.at_s = 3.1
    load.run.poll()
    assert [(each["from_s"], each["error"]) for each in load.of("gap")] == [(1.0, "load-worker-1 wrote no window")]


def test_a_first_window_may_take_as_long_as_workers_need_to_find_each_other(load: Load) -> None:
    load.run.start()
    load.clock.at_s = 30.0
    load.run.poll()
    assert load.of("gap") == []
    load.clock.at_s = 30.1
    load.run.poll()
    assert len(load.of("gap")) == len(WORKERS)


def test_what_is_written_to_the_very_end_is_recorded_and_the_end_is_no_gap(load: Load) -> None:
    load.run.start()
    load.place.at_the_end = lambda: load.place.writes(*WORKERS, text=line(0.0))
    load.clock.at_s = 5.0
    load.run.stop()
    assert load.run.windows == 1
    assert load.of("gap") == []
    assert load.followers() == []


def test_stopping_again_does_nothing(load: Load) -> None:
    load.run.start()
    load.run.stop()
    load.run.stop()
    load.clock.at_s = 99.0
    load.run.poll()
    assert load.place.deleted == 1
    assert load.events == []


def test_objects_that_cannot_be_removed_are_an_error_and_nothing_goes_on_here(load: Load) -> None:
    def refused() -> None:
        load.place.writes(WORKERS[0], text=line(0.0, worker=0))
        raise HarnessError("forbidden")

    load.run.start()
    load.place.at_the_end = refused
    with pytest.raises(HarnessError, match="forbidden"):
        load.run.stop()
    assert load.followers() == []
    assert len(load.of("load")) == 1


def test_what_follows_a_worker_is_ended_even_if_it_will_not_end(load: Load) -> None:
    load.place.follow = lambda pod: load.place.follows("trap '' TERM HUP; echo ready; exec sleep 60")
    load.run.start()
    files = [load.run_dir / f"load-windows-{number}.jsonl" for number in range(2)]
    wait_until(lambda: all(file.read_text() for file in files), what="both follow", timeout_s=10)
    assert len(load.followers()) == 2
    load.run.stop()
    assert load.followers() == []


def test_what_follows_a_worker_ends_with_its_input(load: Load) -> None:
    ended = load.run_dir / "ended"
    load.place.follow = lambda pod: load.place.follows(f"cat > /dev/null; echo {pod} >> '{ended}'")
    load.run.start()
    load.run.stop()
    assert sorted(ended.read_text().split()) == list(WORKERS)


def test_a_load_is_begun_from_the_main_thread_alone(load: Load) -> None:
    failed: list[BaseException] = []

    def start() -> None:
        try:
            load.run.start()
        except HarnessError as error:
            failed.append(error)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join(timeout=10)
    assert "started from a thread" in str(failed[0])
    assert load.place.objects == []


def test_a_poll_of_another_thread_is_the_same(load: Load) -> None:
    load.run.start()
    load.place.writes(WORKERS[0], text=line(0.0, worker=0))
    load.place.writes(WORKERS[1], text=line(0.0, worker=1))
    done = threading.Event()

    def poll() -> None:
        while not done.is_set():
            load.run.poll()

    threads = [threading.Thread(target=poll) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: load.run.windows == 1, what="a window of each", timeout_s=10)
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert len(load.of("load")) == 2


def test_a_host_that_was_not_named_on_purpose_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="'other' is the host that may be"):
        ClusterLoad(
            PLAN,
            Place(tmp_path),
            namespace="load",
            image="i",
            workers=1,
            labels={},
            allow_host="other",
            run_dir=tmp_path,
            clock=ClockByHand(origin_monotonic_s=0.0, origin_unix_s=BEGIN_UNIX_S),
            record=lambda *_: None,
        )


def test_whatever_follows_a_worker_may_end_for_any_reason(load: Load) -> None:
    load.run.start()
    wait_until(lambda: len(load.followers()) == 2, what="both are followed", timeout_s=10)
    for pid in load.followers():
        os.kill(pid, signal.SIGKILL)
    load.polled(lambda: len(load.of("gap")) == len(WORKERS), "both are lost")
    assert all(f"(status -{signal.SIGKILL})" in gap["error"] for gap in load.of("gap"))


STARTER = """
import sys
from pathlib import Path
from tests.load.test_cluster_run import Load
load = Load(Path(sys.argv[1]))
load.run.start()
print("begun", flush=True)
sys.stdin.readline()
"""


@pytest.mark.e2e
def test_a_killed_harness_leaves_nothing_that_follows(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STARTER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).resolve().parents[2],
    ) as harness:
        assert harness.stdout is not None
        assert harness.stdout.readline() == b"begun\n"
        pids = tmp_path / "pods" / "pids"
        wait_until(lambda: pids.exists() and len(pids.read_text().split()) == 2, what="both are followed", timeout_s=10)
        pods = psutil.Process(harness.pid).children()
        harness.kill()
    followers = [int(pid) for pid in pids.read_text().split()]
    try:
        wait_until(
            lambda: not [pid for pid in followers if process_started(pid)], what="no follower is left", timeout_s=10
        )
    finally:
        for pod in pods:
            with contextlib.suppress(psutil.NoSuchProcess):
                pod.kill()
