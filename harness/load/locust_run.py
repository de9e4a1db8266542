"""Locust as a process of its own, whose windows become events."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import signal
import site
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.clock import RunClock
from harness.errors import HarnessError
from harness.load.window_reader import WindowReader

LOCUSTFILE = Path(__file__).resolve().parents[2] / "loadtests" / "inference.py"

# Given at the end for answers still due, then for locust to end, then for the kernel to end it.
_DRAIN_S = 1.0
_TERMINATE_S = 3.0
_KILL_S = 2.0
_LAST_LINES = 5


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """What load to make. ``duration_s`` is when locust ends by itself, should nobody stop it before."""

    base_url: str
    rate: float
    duration_s: float
    seed: int
    model_name: str = "demo-lm"
    arrivals: str = "poisson"
    max_tokens: int = 16
    request_timeout_s: float = 10.0
    window_s: float = 0.5
    locustfile: Path = field(default=LOCUSTFILE)


class LocustRun:
    """Runs locust and records what it did: a ``load`` event a window, a ``gap`` where it was silent or dead.

    ``run_dir`` gets ``load-windows.jsonl`` and locust's output, ``locust.out`` and ``locust.log``. ``poll``
    may be called from any thread, ``start`` only from the main one: the kernel ends locust when the thread
    that started it ends, so that a killed harness leaves no load behind. ``silence_s``: how long no window
    may come before that is a gap.
    """

    def __init__(
        self,
        plan: LoadPlan,
        *,
        run_dir: Path,
        clock: RunClock,
        record: Callable[[str, str, Mapping[str, Any]], object],
        silence_s: float = 3.0,
    ) -> None:
        self.plan = plan
        self._run_dir = run_dir.resolve()
        self._clock = clock
        self._record = record
        self._silence_s = max(silence_s, 4 * plan.window_s)
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: WindowReader | None = None
        self._lock = threading.Lock()
        self._stopping = False
        self._death_told = False

    @property
    def alive(self) -> bool:
        """Whether locust runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """Locust's process; None before ``start``."""
        return self._process.pid if self._process else None

    @property
    def windows(self) -> int:
        """How many windows were recorded."""
        return self._reader.windows if self._reader else 0

    def start(self) -> None:
        """Returns at once; the first request follows in about a second.

        Raises HarnessError when locust cannot be started or the directory already holds a load's files.
        """
        if threading.current_thread() is not threading.main_thread():
            raise HarnessError("load: started from a thread, at whose end the kernel would end locust too")
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            raise HarnessError("load: setpriv is not on PATH; install util-linux")
        windows = self._run_dir / "load-windows.jsonl"
        try:
            windows.touch(exist_ok=False)
            with (self._run_dir / "locust.out").open("xb") as out, self._log.open("xb") as log:
                self._process = subprocess.Popen(
                    [setpriv, "--pdeathsig", "KILL", "--", *_command(self.plan, windows)],
                    cwd=self._run_dir,
                    env=_environment(self._run_dir),
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=log,
                    start_new_session=True,
                )
        except OSError as error:
            raise HarnessError(f"load: locust cannot be started in {self._run_dir}: {error}") from error
        self._reader = WindowReader(
            windows, clock=self._clock, record=self._record, silence_s=self._silence_s, last_words=self._last_words
        )

    def poll(self) -> None:
        """Records the windows written since the last poll, and a gap once locust is dead or silent."""
        with self._lock:
            if self._process is None or self._reader is None:
                return
            status = self._process.poll()  # before reading: what a dead locust wrote is then all there
            self._reader.poll(ended=status is not None)
            if status is not None and not self._stopping and not self._death_told:
                self._death_told = True
                words = self._last_words()
                self._reader.record_gap(f"locust ended by itself with status {status}: {words}")

    def stop(self) -> None:
        """Ends locust within 6 s and records what it wrote to the end; calling it again does nothing.

        Raises HarnessError when not even SIGKILL ends it.
        """
        if self._process is None or self._reader is None or self._stopping:
            return
        self.poll()
        self._stopping = True
        if self._process.poll() is None:
            self._end(self._process)
        self.poll()
        if self._death_told:
            self._reader.record_gap("locust had ended by itself")

    @property
    def _log(self) -> Path:
        return self._run_dir / "locust.log"

    def _last_words(self) -> str:
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        return " | ".join(lines[-_LAST_LINES:]) or "none"

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        for number, patience_s in ((signal.SIGTERM, _TERMINATE_S), (signal.SIGKILL, _KILL_S)):
            with contextlib.suppress(ProcessLookupError):  # it may end, and be polled, meanwhile
                os.killpg(process.pid, number)
            try:
                process.wait(timeout=patience_s)
            except subprocess.TimeoutExpired:
                continue
            return
        raise HarnessError(f"load: locust (process {process.pid}) is still there {_KILL_S:g} s after SIGKILL")


def plan_options(plan: LoadPlan) -> list[str]:
    """Locust's options for the plan, wherever it runs; the locustfile and where windows go are not among them."""
    options = {
        "--host": plan.base_url,
        "--run-time": math.ceil(plan.duration_s),
        "--rate": plan.rate,
        "--arrivals": plan.arrivals,
        "--seed": plan.seed,
        "--model-name": plan.model_name,
        "--max-tokens": plan.max_tokens,
        "--request-timeout": plan.request_timeout_s,
        "--window": plan.window_s,
        "--drain": _DRAIN_S,
        "--exit-code-on-error": 0,  # failed requests are figures; another status then means locust failed
    }
    return ["--headless", "--only-summary", *(f"{name}={value}" for name, value in options.items())]


def _command(plan: LoadPlan, window_file: Path) -> list[str]:
    files = (f"--locustfile={plan.locustfile.resolve()}", f"--window-file={window_file}")
    return [sys.executable, "-m", "locust", *files, *plan_options(plan)]


def _environment(run_dir: Path) -> dict[str, str]:
    """The environment without anything that would set locust's options behind the plan's back.

    Locust reads ``~/.locust.conf`` and, in the directory it runs in, ``locust.conf`` and ``pyproject.toml``,
    and no option turns that off; hence a home without any, while packages installed for the user stay found.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LOCUST_")}
    package_root = str(Path(__file__).resolve().parents[2])
    paths = [package_root, *filter(None, [kept.get("PYTHONPATH")])]
    return kept | {
        "HOME": str(run_dir),
        "PYTHONUSERBASE": site.getuserbase(),
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONUNBUFFERED": "1",
    }
