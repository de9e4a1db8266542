"""Runs the real command in a directory of its own, and watches what it leaves behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness.environments.processes import process_started

# What is started in the background of a script ignores these, and so would all that it starts in turn; a handler, even
# one that does nothing, is not passed on.
for _number in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, lambda *_: None)
# Takes minutes: begun before the others, so that no worker is left alone with one at the end.
lengthy = pytest.mark.lengthy
CHECKOUT = Path(__file__).resolve().parents[2]
HARNESS = Path(sys.executable).with_name("harness")
LEFT_WITHIN_S = 5.0


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Within either half the order stays random."""
    items.sort(key=lambda item: item.get_closest_marker("lengthy") is None)


@dataclass(frozen=True)
class Outcome:
    """What a finished command said, and its run's directory."""

    code: int
    out: str
    err: str
    run_dir: Path

    @property
    def result(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads((self.run_dir / "result.json").read_text(encoding="utf-8"))
        return loaded

    def verdicts(self, experiment: str) -> dict[str, str]:
        """The verdict of each check of an experiment."""
        return {each["check"]: each["verdict"] for each in self.result["results"] if each["experiment"] == experiment}

    def events(self, kind: str) -> list[dict[str, Any]]:
        lines = (self.run_dir / "timeline.jsonl").read_text(encoding="utf-8").splitlines()
        return [event for event in map(json.loads, lines) if event["kind"] == kind]


@dataclass
class Runner:
    """Starts ``harness`` with a working directory, a home and a temporary directory that a test can look into."""

    root: Path
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in ("cwd", "home", "tmp"):
            (self.root / name).mkdir()

    def environment(self) -> dict[str, str]:
        own = {"HOME": str(self.root / "home"), "TMPDIR": str(self.root / "tmp"), "PYTHONDONTWRITEBYTECODE": "1"}
        return {**{key: value for key, value in os.environ.items() if not key.startswith("HARNESS_")}, **own}

    def start(self, *args: str) -> subprocess.Popen[str]:
        return self.start_program(HARNESS, *args)

    def start_program(self, program: Path, *args: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [str(program), *args],
            cwd=self.root / "cwd",
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process

    def run(self, *args: str, timeout_s: float = 300) -> Outcome:
        process = self.start(*args)
        out, err = process.communicate(timeout=timeout_s)
        return Outcome(process.returncode, out, err, self.root / "run")

    def certify(
        self, *args: str, stack: Path | None = None, experiments: tuple[str, ...] = (), timeout_s: float = 400
    ) -> Outcome:
        chosen = [word for name in experiments for word in ("--experiments", str(CHECKOUT / "experiments" / name))]
        where = ["--stack", str(stack)] if stack else []
        return self.run("certify", *where, *chosen, "--report", str(self.root / "run"), *args, timeout_s=timeout_s)

    def left_outside(self) -> list[str]:
        """Files the command left in its working directory, home or temporary directory."""
        return [str(path) for name in ("cwd", "home", "tmp") for path in (self.root / name).rglob("*")]


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    """A runner whose processes have ended when the test is over, whatever it did."""
    runner = Runner(tmp_path)
    yield runner
    for process in runner.started:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.communicate(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()


def descendants(process: subprocess.Popen[str]) -> list[tuple[int, float]]:
    """Every process below this one, told from later ones of the same number by its start."""
    children = psutil.Process(process.pid).children(recursive=True)
    found = [(child.pid, process_started(child.pid)) for child in children]
    return [(pid, started) for pid, started in found if started is not None]


def still_there(processes: list[tuple[int, float]]) -> list[int]:
    """Those of the processes that are alive after the time a run has to clean up."""
    deadline = time.monotonic() + LEFT_WITHIN_S
    while True:
        alive = [pid for pid, started in processes if process_started(pid) == started]
        if not alive or time.monotonic() > deadline:
            return alive
        time.sleep(0.05)
