"""Locust as a process of its own, whose windows become events."""

from __future__ import annotations

import contextlib
import json
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
from harness.load.tail import Tail

LOCUSTFILE = Path(__file__).resolve().parents[2] / "loadtests" / "inference.py"

# The kinds and names of the events written; harness/evidence/events.py says what they hold.
_LOAD, _WINDOW, _GAP = "load", "window", "gap"
# Half a second on an idle machine, but a run starts its load while much else starts.
_START_ALLOWANCE_S = 15.0
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
        self._plan = plan
        self._run_dir = run_dir.resolve()
        self._clock = clock
        self._record = record
        self._silence_s = max(silence_s, 4 * plan.window_s)
        self._tail = Tail(self._run_dir / "load-windows.jsonl")
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._seen_until_s = 0.0  # up to where windows and gaps have told what happened
        self._quiet_after_s = math.inf
        self._windows = 0
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
        return self._windows

    def start(self) -> None:
        """Returns at once; the first request follows in about a second.

        Raises HarnessError when locust cannot be started or the directory already holds a load's files.
        """
        if threading.current_thread() is not threading.main_thread():
            raise HarnessError("load: started from a thread, at whose end the kernel would end locust too")
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            raise HarnessError("load: setpriv is not on PATH; install util-linux")
        try:
            self._tail.path.touch(exist_ok=False)
            with (self._run_dir / "locust.out").open("xb") as out, self._log.open("xb") as log:
                self._process = subprocess.Popen(
                    [setpriv, "--pdeathsig", "KILL", "--", *_command(self._plan, self._tail.path)],
                    cwd=self._run_dir,
                    env=_environment(self._run_dir),
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=log,
                    start_new_session=True,
                )
        except OSError as error:
            raise HarnessError(f"load: locust cannot be started in {self._run_dir}: {error}") from error
        self._seen_until_s = self._clock.now_s()
        self._quiet_after_s = self._seen_until_s + _START_ALLOWANCE_S

    def poll(self) -> None:
        """Records the windows written since the last poll, and a gap once locust is dead or silent."""
        with self._lock:
            if self._process is None:
                return
            status = self._process.poll()  # before reading: what a dead locust wrote is then all there
            for line in self._tail.read():
                self._record_window(line)
            now_s = self._clock.now_s()
            if status is not None and not self._stopping and not self._death_told:
                self._death_told = True
                self._record_gap(now_s, f"locust ended by itself with status {status}: {self._last_words()}")
            elif status is None and now_s > self._quiet_after_s:
                self._record_gap(now_s, f"locust wrote no window; its last words: {self._last_words()}")

    def stop(self) -> None:
        """Ends locust within 6 s and records what it wrote to the end; calling it again does nothing.

        Raises HarnessError when not even SIGKILL ends it.
        """
        if self._process is None or self._stopping:
            return
        self.poll()
        self._stopping = True
        if self._process.poll() is None:
            self._end(self._process)
        self.poll()
        if self._death_told:
            self._record_gap(self._clock.now_s(), "locust had ended by itself")

    @property
    def _log(self) -> Path:
        return self._run_dir / "locust.log"

    def _record_window(self, line: str) -> None:
        try:
            raw = json.loads(line)
            data = {
                "from_s": round(self._clock.from_unix(raw.pop("from_unix_s")), 6),
                "to_s": round(self._clock.from_unix(raw.pop("to_unix_s")), 6),
                "rate": raw.pop("rate_planned"),
                **raw,
            }
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            self._record_gap(self._clock.now_s(), f"locust wrote {line[:200]!r}, not a window: {error!r}")
            return
        self._record(_LOAD, _WINDOW, data)
        self._windows += 1
        self._seen_until_s = data["to_s"]
        self._quiet_after_s = self._clock.now_s() + self._silence_s

    def _record_gap(self, now_s: float, error: str) -> None:
        self._record(_GAP, _LOAD, {"from_s": self._seen_until_s, "to_s": now_s, "error": error})
        self._seen_until_s = now_s
        self._quiet_after_s = now_s + self._silence_s

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


def _command(plan: LoadPlan, window_file: Path) -> list[str]:
    options = {
        "--locustfile": plan.locustfile.resolve(),
        "--host": plan.base_url,
        "--run-time": math.ceil(plan.duration_s),
        "--rate": plan.rate,
        "--arrivals": plan.arrivals,
        "--seed": plan.seed,
        "--model-name": plan.model_name,
        "--max-tokens": plan.max_tokens,
        "--request-timeout": plan.request_timeout_s,
        "--window": plan.window_s,
        "--window-file": window_file,
        "--drain": _DRAIN_S,
        "--exit-code-on-error": 0,  # failed requests are figures; another status then means locust failed
    }
    flat = [f"{name}={value}" for name, value in options.items()]
    return [sys.executable, "-m", "locust", "--headless", "--only-summary", *flat]


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
