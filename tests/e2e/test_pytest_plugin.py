"""Experiments as pytest tests, for real: one stack for the session, verdicts as outcomes, reports at the end."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from tests.e2e.conftest import CHECKOUT, Outcome, Runner, descendants, still_there

pytestmark = pytest.mark.e2e

STACK = CHECKOUT / "fixtures" / "stack"


def run_pytest(runner: Runner, *args: str, timeout_s: float = 300) -> Outcome:
    process = runner.start_program(Path(sys.executable), "-m", "pytest", "-p", "no:cacheprovider", *args)
    out, err = process.communicate(timeout=timeout_s)
    return Outcome(process.returncode, out, err, runner.root / "run")


def test_experiments_and_ones_own_tests_share_one_stack(runner: Runner, tmp_path: Path) -> None:
    mine = tmp_path / "test_mine.py"
    mine.write_text(
        "import pytest\n"
        "from harness import chaos\n"
        "from harness.run.testing import NotProved\n"
        "def test_a_full_volume_is_told(environment, load):\n"
        "    expected = {'alerts': [{'alert': 'DiskFilling', 'receiver': 'chat'}]}\n"
        "    with environment.experiment(expect=expected) as trial:\n"
        "        chaos.fill_volume('inference', 'models', percent=95)\n"
        "        assert chaos.hold() == ['DiskFilling']\n"
        "        assert load.figures().requests > 0\n"
        "        assert load.figures().error_ratio < 0.01\n"
        "    assert trial.verdict.value == 'PASS'\n"
        "def test_an_alert_that_nothing_causes_is_not_proved(environment):\n"
        "    with pytest.raises(NotProved, match='HighGPUTemperature'):\n"
        "        with environment.experiment('no cause', expect={'alerts': [{'alert': 'HighGPUTemperature'}]}):\n"
        "            chaos.raise_gpu_xid(code=13)\n"
        "            chaos.hold(at_least='30s', alerts=[])\n"
        "def test_a_test_that_fails_inside_leaves_no_fault_in(environment):\n"
        "    with pytest.raises(ZeroDivisionError):\n"
        "        with environment.experiment('broken off', expect={}):\n"
        "            chaos.take_gpu_memory(fraction=0.5)\n"
        "            1 / 0\n"
        "    assert not environment.live.session.injector.heal()\n"
        "def test_a_test_that_gives_up_inside_leaves_no_fault_in(environment):\n"
        "    with pytest.raises(pytest.fail.Exception):\n"
        "        with environment.experiment('given up', expect={}):\n"
        "            chaos.take_gpu_memory(fraction=0.5)\n"
        "            pytest.fail('enough')\n"
        "    entries = [e for e in environment.live.timeline.events() if e.kind == 'fault']\n"
        "    assert entries[-1].data['status'] == 'cleared'\n",
        encoding="utf-8",
    )
    junit = tmp_path / "junit.xml"
    warm = str(CHECKOUT / "experiments" / "gpu-warm.yaml")
    outcome = run_pytest(
        runner, str(mine), warm, "-v", "-p", "no:randomly", "--run-dir", str(runner.root / "run"), f"--junitxml={junit}"
    )
    assert outcome.code == 0, outcome.out + outcome.err
    assert "5 passed" in outcome.out
    assert len([event for event in outcome.events("run") if event["name"] == "started"]) == 1
    assert {each["name"] for each in outcome.result["experiments"]} == {
        "gpu-warm",
        "test_a_full_volume_is_told",
        "no cause",
        "broken off",
        "given up",
    }
    # The run's own verdict is the worst of everything in it, what a test expected to fail included.
    assert outcome.result["verdict"] in ("FAIL", "UNKNOWN")
    entries = [json.loads(line) for line in (outcome.run_dir / "ledger.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {e["open"] for e in entries if "open" in e} == {e["close"] for e in entries if "close" in e}
    cases = ElementTree.parse(junit).getroot().iter("testcase")
    properties = {c.attrib["name"]: {p.attrib["name"]: p.attrib["value"] for p in c.iter("property")} for c in cases}
    assert properties["gpu-warm"]["verdict"] == "PASS"
    again = runner.run("check", str(outcome.run_dir))
    assert "agrees with result.json" in again.out, again.out + again.err


def test_a_sabotaged_stack_fails_the_test_and_x_ends_the_session(runner: Runner, tmp_path: Path) -> None:
    stack = Path(shutil.copytree(STACK, tmp_path / "stack"))
    rules = (stack / "rules.yaml").read_text(encoding="utf-8")
    assert "gpu_temperature_celsius > 80" in rules
    (stack / "rules.yaml").write_text(
        rules.replace("gpu_temperature_celsius > 80", "gpu_temperature_celsius > 70"), encoding="utf-8"
    )
    files = [str(CHECKOUT / "experiments" / name) for name in ("gpu-warm.yaml", "model-volume-full.yaml")]
    run_dir = str(runner.root / "run")
    outcome = run_pytest(runner, *files, "-x", "-p", "no:randomly", "--stack", str(stack), "--run-dir", run_dir)
    assert outcome.code == 1, outcome.out + outcome.err
    assert "1 failed" in outcome.out
    assert "passed" not in outcome.out
    assert "nothing else fired: fired: HighGPUTemperature" in outcome.out
    assert "Traceback" not in outcome.out
    assert outcome.result["verdict"] == "FAIL"


def test_a_stack_that_does_not_come_up_fails_every_test_once_it_is_known(runner: Runner, tmp_path: Path) -> None:
    stack = Path(shutil.copytree(STACK, tmp_path / "stack"))
    path = stack / "rules.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("expr: vector(1)", "expr: vector(1) < 0"), encoding="utf-8")
    files = [str(CHECKOUT / "experiments" / name) for name in ("gpu-warm.yaml", "model-volume-full.yaml")]
    outcome = run_pytest(runner, *files, "--stack", str(stack), "--run-dir", str(runner.root / "run"))
    assert outcome.code == 1, outcome.out + outcome.err
    assert "2 failed" in outcome.out
    assert "baseline: " in outcome.out
    assert "does not fire, but always should" in outcome.out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_undoes_the_fault_writes_the_report_and_leaves_nothing(runner: Runner, number: signal.Signals) -> None:
    run_dir = runner.root / "run"
    volume = str(CHECKOUT / "experiments" / "model-volume-full.yaml")
    process = runner.start_program(
        Path(sys.executable), "-m", "pytest", "-p", "no:cacheprovider", volume, "--run-dir", str(run_dir)
    )
    wait_for_a_fault(process, run_dir)
    below = descendants(process)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert still_there(below) == []
    assert process.returncode == 2, out + err
    result = json.loads((run_dir / "result.json").read_text(encoding="utf-8"))
    assert (result["verdict"], result["interrupted"]) == ("UNKNOWN", number.name)
    assert runner.left_outside() == []


def wait_for_a_fault(process: subprocess.Popen[str], run_dir: Path) -> None:
    deadline = time.monotonic() + 90
    timeline = run_dir / "timeline.jsonl"
    while not (timeline.exists() and '"status":"effect"' in timeline.read_text(encoding="utf-8")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "no fault was put in"
        time.sleep(0.05)
