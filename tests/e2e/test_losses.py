"""What a run says when it loses a part of itself, and that it leaves nothing then either."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from tests.e2e.conftest import Runner, descendants, still_there
from tests.e2e.phases import baseline_begun, fault_is_in, start_and_wait

pytestmark = pytest.mark.e2e


def ended(process: subprocess.Popen[str], runner: Runner, *, timeout_s: float = 90) -> str:
    """What a run that has ended said, once it is sure that it left nothing and did not stumble."""
    out, err = process.communicate(timeout=timeout_s)
    assert runner.left_outside() == []
    assert "Traceback" not in out + err
    return out + err


def part(process: subprocess.Popen[str], word: str) -> psutil.Process:
    """The process below this one with this word in its command."""
    found = [each for each in psutil.Process(process.pid).children(recursive=True) if word in each.cmdline()]
    assert len(found) == 1, found
    return found[0]


def test_ctrl_c_pressed_twice_still_undoes_and_takes_down(runner: Runner) -> None:
    setsid = shutil.which("setsid")
    assert setsid
    process, run_dir = start_and_wait(runner, fault_is_in, below=(setsid,))
    below = descendants(process)
    for _ in range(2):  # a terminal sends it to every process of the foreground
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.05)
    said = ended(process, runner)
    assert still_there(below) == []
    assert process.returncode == 2, said
    entries = [json.loads(line) for line in (run_dir / "ledger.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len([each for each in entries if "open" in each]) == len([each for each in entries if "close" in each]) == 1


def test_a_harness_that_was_stopped_for_a_while_does_not_blame_the_stack(runner: Runner) -> None:
    process, run_dir = start_and_wait(runner, baseline_begun)
    below = descendants(process)
    process.send_signal(signal.SIGSTOP)
    time.sleep(3)
    process.send_signal(signal.SIGCONT)
    said = ended(process, runner)
    assert still_there(below) == []
    assert process.returncode in (0, 2), said
    assert json.loads((run_dir / "result.json").read_text(encoding="utf-8"))["verdict"] in ("PASS", "UNKNOWN")


def test_without_its_load_generator_a_run_knows_nothing_of_the_load(runner: Runner) -> None:
    process, run_dir = start_and_wait(runner, fault_is_in)
    below = descendants(process)
    part(process, "locust").kill()
    said = ended(process, runner)
    assert still_there(below) == []
    assert process.returncode == 2, said
    results = json.loads((run_dir / "result.json").read_text(encoding="utf-8"))["results"]
    told = {each["check"]: each["verdict"] for each in results if each["experiment"] == "model-volume-full"}
    assert told["load: p95 during"] == told["load: p95 after"] == "UNKNOWN"
    assert told["alert DiskFilling: notified"] == "PASS", "what was seen stays seen"


def test_a_stack_whose_node_dies_is_told_and_never_passes(runner: Runner) -> None:
    process, run_dir = start_and_wait(runner, fault_is_in)
    below = descendants(process)
    node = json.loads((run_dir / "environment.json").read_text(encoding="utf-8"))["pid"]
    assert node in [pid for pid, _ in below]
    os.kill(node, signal.SIGKILL)
    said = ended(process, runner)
    assert still_there(below) == []
    assert process.returncode in (1, 2, 4), said
    assert json.loads((run_dir / "result.json").read_text(encoding="utf-8"))["verdict"] in ("FAIL", "UNKNOWN")


def test_a_run_whose_directory_is_deleted_says_so(runner: Runner) -> None:
    process, run_dir = start_and_wait(runner, fault_is_in)
    below = descendants(process)
    shutil.rmtree(run_dir, ignore_errors=True)
    said = ended(process, runner)
    assert still_there(below) == []
    assert process.returncode == 4, said
    assert str(run_dir) in said


def test_a_reader_who_leaves_early_does_not_disturb_a_run(runner: Runner, tmp_path: Path) -> None:
    process, run_dir = start_and_wait(runner, baseline_begun)
    below = descendants(process)
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    process.stderr.close()
    process.wait(timeout=90)
    assert still_there(below) == []
    assert process.returncode == 0
    assert json.loads((run_dir / "result.json").read_text(encoding="utf-8"))["verdict"] == "PASS"
