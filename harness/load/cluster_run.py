"""Locust as pods of a cluster, whose windows become events."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from harness.clock import DeadlineExceeded, RunClock, wait_until
from harness.errors import HarnessError
from harness.load.cluster_load import load_objects, worker_names
from harness.load.locust_run import LoadPlan
from harness.load.window_reader import WindowReader

_START_S = 60.0
# The workers draw breath together once the last of them has found the master.
_FIRST_WINDOW_S = 30.0
_END_S = 5.0
# For the answers still due, and the windows they are in.
_LAST_WORDS_S = 8.0


class LoadPlace(Protocol):
    """The cluster a load runs in."""

    def apply(self, objects: Sequence[Mapping[str, Any]]) -> None:
        """The objects are there. Raises HarnessError."""

    def delete(self, objects: Sequence[Mapping[str, Any]]) -> None:
        """The objects are going. Raises HarnessError."""

    def running(self, pod: str, namespace: str) -> bool:
        """Whether the pod's containers run. Raises HarnessError when the cluster cannot be asked."""

    def why_not_running(self, pod: str, namespace: str) -> str:
        """What keeps the pod. Raises HarnessError when the cluster cannot be asked."""

    def log_argv(self, pod: str, namespace: str) -> list[str]:
        """The command that writes a pod's output, from its beginning, as long as it lasts."""


class ClusterLoad:
    """Runs locust's master and workers as pods and records what they did: a ``load`` event a window of each worker, a
    ``gap`` for each that was silent or lost.

    ``run_dir`` gets ``load-windows-N.jsonl`` of each worker. ``start`` may be called from the main thread only: what
    follows the workers' output ends with the thread that started it.
    """

    def __init__(
        self,
        plan: LoadPlan,
        place: LoadPlace,
        *,
        namespace: str,
        image: str,
        workers: int,
        labels: Mapping[str, str],
        allow_host: str,
        run_dir: Path,
        clock: RunClock,
        record: Callable[[str, str, Mapping[str, Any]], object],
        silence_s: float = 3.0,
        start_s: float = _START_S,
    ) -> None:
        """``start_s``: how long the pods may take to run. Raises HarnessError for a host other than the plan's, or
        without a worker.
        """
        self._objects = load_objects(
            plan, namespace=namespace, image=image, workers=workers, labels=labels, allow_host=allow_host
        )
        self._place = place
        self._namespace = namespace
        self._names = worker_names(workers)
        self._run_dir = run_dir
        self._clock = clock
        self._record = record
        self._silence_s = max(silence_s, 4 * plan.window_s)
        self._start_s = start_s
        self._followers: dict[str, subprocess.Popen[bytes]] = {}
        self._readers: dict[str, WindowReader] = {}
        self._lost: set[str] = set()
        self._lock = threading.Lock()
        self._stopping = False

    @property
    def windows(self) -> int:
        """How many windows were recorded of the worker that wrote fewest."""
        return min((reader.windows for reader in self._readers.values()), default=0)

    def start(self) -> None:
        """Returns once all pods run; the first request follows in a few seconds. Raises HarnessError."""
        if threading.current_thread() is not threading.main_thread():
            raise HarnessError("load: started from a thread, at whose end what follows the workers would end too")
        self._place.apply(self._objects)
        try:
            wait_until(self._all_run, what="the load's pods run", timeout_s=self._start_s, poll_s=0.3)
        except DeadlineExceeded as error:
            why = "".join(
                f"\n  {name}: {self._place.why_not_running(name, self._namespace)}"
                for name in self._names
                if not self._place.running(name, self._namespace)
            )
            raise HarnessError(f"load: its pods do not run after {self._start_s:g} s{why}") from error
        for name in self._names:
            path = self._run_dir / f"load-windows-{name.rpartition('-')[2]}.jsonl"
            self._followers[name] = self._follow(name, path)
            self._readers[name] = WindowReader(
                path,
                clock=self._clock,
                record=self._record,
                silence_s=self._silence_s,
                source=name,
                start_allowance_s=_FIRST_WINDOW_S,
            )

    def poll(self) -> None:
        """Records the windows that came since the last poll, and a gap for each worker that is lost or silent."""
        with self._lock:
            for name, reader in self._readers.items():
                status = self._followers[name].poll()
                reader.poll(ended=status is not None)
                if status is not None and not self._stopping and name not in self._lost:
                    self._lost.add(name)
                    reader.record_gap(f"{name} ended, or its output cannot be followed any more (status {status})")

    def stop(self) -> None:
        """Ends the load and records what it wrote to the end; calling it again does nothing."""
        if self._stopping:
            return
        self.poll()
        self._stopping = True
        try:
            self._place.delete(self._objects)
            with contextlib.suppress(DeadlineExceeded, HarnessError):  # what they write later is not waited for
                wait_until(self._none_runs, what="the load's pods end", timeout_s=_LAST_WORDS_S, poll_s=0.3)
        finally:
            for follower in self._followers.values():
                _end_follower(follower)
            self.poll()
            for name in sorted(self._lost):
                self._readers[name].record_gap(f"{name} had ended by itself")

    def _none_runs(self) -> bool:
        return not any(self._place.running(name, self._namespace) for name in self._names)

    def _all_run(self) -> bool:
        return all(self._place.running(name, self._namespace) for name in self._names)

    def _follow(self, name: str, path: Path) -> subprocess.Popen[bytes]:
        setpriv = shutil.which("setpriv")
        prefix = [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []
        try:
            with path.open("xb") as out, (self._run_dir / "load-followers.log").open("ab") as log:
                return subprocess.Popen(
                    [*prefix, *self._place.log_argv(name, self._namespace)],
                    stdin=subprocess.PIPE,  # it ends when we do
                    stdout=out,
                    stderr=log,
                    start_new_session=True,
                )
        except OSError as error:
            raise HarnessError(f"load: the output of {name} cannot be followed: {error}") from error


def _end_follower(follower: subprocess.Popen[bytes]) -> None:
    """Ends what follows a worker's output: by its standard input, and where that does not do, by a signal."""
    if follower.stdin is not None:
        follower.stdin.close()
    try:
        follower.wait(timeout=1.0)
    except subprocess.TimeoutExpired:
        follower.kill()
        follower.wait(timeout=_END_S)
