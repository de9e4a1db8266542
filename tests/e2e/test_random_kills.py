"""Ended by any signal at any instant, a run leaves nothing behind; what a killed one left broken can be healed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from harness.environments.local.node import LocalNode
from harness.environments.local.state import NodeState
from harness.environments.processes import process_started
from tests.e2e.conftest import CHECKOUT, Runner, lengthy, still_there

pytestmark = pytest.mark.e2e

EXPERIMENT = str(CHECKOUT / "experiments" / "gpu-memory-full.yaml")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL)
INSTANTS = 20
# A run of one experiment takes about 30 s from its first line of Python to its last.
LIFE_S = 32.0
SEED_VARIABLE = "HARNESS_KILLS_SEED"
REPORTS = ("result.json", "report.html", "junit.xml")
CHAOS = Path(sys.executable).with_name("chaos")


@dataclass(frozen=True)
class Killed:
    """What one run left, in words; ``problems`` is empty when it left nothing."""

    number: signal.Signals
    after_s: float
    problems: tuple[str, ...]


@lengthy
def test_signals_at_random_instants_leave_nothing(tmp_path: Path) -> None:
    seed = int(os.environ.get(SEED_VARIABLE) or random.SystemRandom().randrange(2**31))
    drawn = random.Random(seed)
    # One instant in each twentieth of the run's life, so that every phase has its turn, in an order of their own.
    instants = [(at + drawn.random()) * LIFE_S / INSTANTS for at in range(INSTANTS)]
    drawn.shuffle(instants)
    plans = [
        (SIGNALS[number % len(SIGNALS)], after_s, tmp_path / str(number)) for number, after_s in enumerate(instants)
    ]
    with ThreadPoolExecutor(max_workers=3) as pool:
        killed = list(pool.map(lambda plan: kill_a_run(*plan), plans))
    assert [each for each in killed if each.problems] == [], f"{SEED_VARIABLE}={seed}"


def kill_a_run(number: signal.Signals, after_s: float, root: Path) -> Killed:
    root.mkdir()
    runner = Runner(root)
    run_dir = root / "run"
    process = runner.start("certify", "--experiments", EXPERIMENT, "--report", str(run_dir))
    seen: set[tuple[int, float]] = set()
    ends_s = time.monotonic() + after_s
    while time.monotonic() < ends_s and process.poll() is None:
        seen |= below(process)
        time.sleep(0.1)
    process.send_signal(number)
    seen |= below(process)
    try:
        _, err = process.communicate(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return Killed(number, after_s, ("did not end within 30 s",))
    problems = [f"process {pid} is alive" for pid in still_there(sorted(seen))]
    problems += [f"{path} is left" for path in runner.left_outside()]
    problems += [f"{line} is mounted" for line in mounts_below(root)]
    if number is not signal.SIGKILL:
        problems += what_is_wrong(run_dir, process.returncode, err)
    return Killed(number, after_s, tuple(problems))


def below(process: subprocess.Popen[str]) -> set[tuple[int, float]]:
    """The processes below this one, with when each began; those that end meanwhile need no looking after."""
    found = set()
    with suppress(psutil.NoSuchProcess):
        for child in psutil.Process(process.pid).children(recursive=True):
            started = process_started(child.pid)
            if started is not None:
                found.add((child.pid, started))
    return found


def mounts_below(root: Path) -> list[str]:
    return [line for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines() if str(root) in line]


def what_is_wrong(run_dir: Path, code: int, err: str) -> list[str]:
    """What a run that was asked to end should not have said, or left in its directory."""
    problems = []
    begun, ended = run_dir / "timeline.jsonl", run_dir / "result.json"
    if begun.exists() and "Traceback" in err:
        problems.append(f"a traceback: {err[-500:]}")
    record = begun.read_text(encoding="utf-8") if begun.exists() else ""
    if '"name":"ended"' in record:
        # Once the reports are written a signal ends the process as it ends any other; SIGINT, when Python is leaving.
        if code not in (0, 2, -signal.SIGTERM, -signal.SIGHUP, -signal.SIGINT):
            problems.append(f"exit code {code}: {err[-300:]}")
        problems += [f"{name} is missing" for name in REPORTS if not (run_dir / name).exists()]
    if record and '"name":"ended"' not in record:
        problems.append("the record has no end")
    if ended.exists() and code == 2:
        result = json.loads(ended.read_text(encoding="utf-8"))
        if result["verdict"] != "UNKNOWN":
            problems.append(f"verdict {result['verdict']} of an interrupted run")
    ledger = run_dir / "ledger.jsonl"
    entries = [json.loads(line) for line in ledger.read_text(encoding="utf-8").splitlines()] if ledger.exists() else []
    if {e["open"] for e in entries if "open" in e} != {e["close"] for e in entries if "close" in e}:
        problems.append("a fault is still in the ledger")
    return problems


def test_what_a_killed_chaos_run_left_broken_is_healed(runner: Runner) -> None:
    assert runner.run("up").code == 0
    (state_file,) = (runner.root / "cwd" / "reports").glob("*/environment.json")
    node = LocalNode(NodeState.load(state_file.parent))
    try:
        volume = str(CHECKOUT / "experiments" / "model-volume-full.yaml")
        chaos = runner.start_program(CHAOS, "run", volume)
        wait_until_held(runner.root / "cwd" / "chaostoolkit.log", chaos)
        chaos.send_signal(signal.SIGKILL)
        chaos.communicate()
        assert free_share(node) < 0.1, "the fault should have outlived its harness"
        healed = runner.run("heal")
        assert healed.code == 0, healed.err
        assert "volume-fill#1: undone" in healed.out
        assert free_share(node) > 0.5
        assert "nothing to undo" in runner.run("heal").out
        below_node = [(node.state.pid, node.state.pid_started)]
        assert runner.run("down").code == 0
        assert still_there(below_node) == []
    finally:
        node.stop()


def free_share(node: LocalNode) -> float:
    size, available = node.volume_usage("inference-0", "model-serving", "models")
    return available / size


def wait_until_held(log: Path, chaos: subprocess.Popen[str]) -> None:
    """Until the fault's own action is over: the kernel takes back what a killed process was about to allocate."""
    deadline = time.monotonic() + 60
    while not log.exists() or "hold-until-notified" not in log.read_text(encoding="utf-8"):
        assert chaos.poll() is None, chaos.communicate()
        assert time.monotonic() < deadline, "the volume was not filled"
        time.sleep(0.05)
