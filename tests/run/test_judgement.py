"""A run's record on disk: judged again, compared, healed."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from harness.clock import RunClock
from harness.environments.description import STATE_FILE
from harness.environments.local.state import NodeState
from harness.errors import HarnessError, InputError
from harness.evidence.timeline import Timeline
from harness.experiment import load_experiments
from harness.faults.ledger import Ledger
from harness.model import Verdict
from harness.report import to_json_text
from harness.run.healing import heal
from harness.run.judgement import INPUTS_FILE, TIMELINE_FILE, Inputs, judge_directory
from harness.run.listing import list_experiments, list_faults, list_stack
from harness.run.reporting import RESULT_FILE, differences, new_run_directory
from harness.stack import load_stack

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def inputs() -> Inputs:
    stack = load_stack(CHECKOUT / "fixtures" / "stack")
    return Inputs(
        run_id="test",
        environment="local",
        time_scale=60.0,
        seed=1,
        stack_path=str(stack.root),
        stack_sha256=stack.sha256,
        spec=stack.spec,
        experiments=load_experiments([CHECKOUT / "experiments"], stack.spec),
    )


@pytest.fixture
def run_dir(tmp_path: Path, inputs: Inputs) -> Path:
    """A run that was ended before its baseline."""
    inputs.save(tmp_path)
    timeline = Timeline(tmp_path / TIMELINE_FILE, RunClock.start())
    timeline.record("run", "ended", {"interrupted": "SIGINT"})
    timeline.close()
    return tmp_path


def test_inputs_survive_the_disk(inputs: Inputs, tmp_path: Path) -> None:
    inputs.save(tmp_path)
    assert Inputs.load(tmp_path) == inputs


@pytest.mark.parametrize("content", ["", "{}", '{"run_id": 3}', "[]"])
def test_damaged_inputs_are_named(tmp_path: Path, content: str) -> None:
    (tmp_path / INPUTS_FILE).write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=INPUTS_FILE):
        Inputs.load(tmp_path)


def test_a_record_without_evidence_is_unknown(run_dir: Path) -> None:
    result, _, _ = judge_directory(run_dir)
    assert (result.verdict, result.interrupted) == (Verdict.UNKNOWN, "SIGINT")
    assert {each.verdict for each in result.results} == {Verdict.UNKNOWN}


def test_a_record_that_just_stops_says_so(run_dir: Path) -> None:
    (run_dir / TIMELINE_FILE).write_text("", encoding="utf-8")
    assert judge_directory(run_dir)[0].interrupted == "the harness ended without a word"


def test_a_result_agrees_with_itself_and_not_with_a_changed_one(run_dir: Path) -> None:
    result, _, _ = judge_directory(run_dir)
    (run_dir / RESULT_FILE).write_text(to_json_text(result), encoding="utf-8")
    assert differences(result, run_dir) == []
    changed = dataclasses.replace(result, verdict=Verdict.PASS)
    assert differences(changed, run_dir) == ["verdict UNKNOWN, the evidence gives PASS"]
    fewer = dataclasses.replace(result, results=result.results[1:])
    assert differences(fewer, run_dir) == ["baseline: run"]


def state(run_dir: Path) -> NodeState:
    return NodeState(
        run_dir=str(run_dir),
        stack="stack",
        stack_sha256="0",
        time_scale=60,
        seed=1,
        pid=2**22 + 1,  # above what Linux gives to any process
        pid_started=1.0,
        address="127.9.0.1",
        password="p",
        prometheus="http://127.9.1.1:9090",
        prometheus_pod="prometheus-0",
        alertmanagers=(),
        receivers=(),
        services={},
        pods=(),
        gpu="simulated",
        not_exercised=(),
        versions={},
    )


def test_faults_of_an_environment_that_is_gone_went_with_it(tmp_path: Path) -> None:
    state(tmp_path).save()
    Ledger(tmp_path).open("gpu-lost", {"gpu": 0})
    healed = heal(tmp_path)
    assert (healed.undone, healed.failures, healed.gone) == (("gpu-lost#1",), (), True)
    assert heal(tmp_path).undone == ()


def test_healing_a_directory_without_an_environment_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match=STATE_FILE):
        heal(tmp_path)


def test_the_state_file_is_for_its_owner_only(tmp_path: Path) -> None:
    state(tmp_path).save()
    assert (tmp_path / STATE_FILE).stat().st_mode & 0o077 == 0
    assert json.loads((tmp_path / STATE_FILE).read_text(encoding="utf-8"))["password"] == "p"


def test_the_lists_name_alerts_experiments_and_parameters() -> None:
    stack = "\n".join(list_stack([CHECKOUT / "fixtures" / "stack"]))
    assert "alert HighGPUTemperature, group infrastructure" in stack
    assert "receiver monitoring/model-serving/pager: webhook" in stack
    assert "gpu-overheats: " in "\n".join(list_experiments(CHECKOUT / "experiments"))
    faults = "\n".join(list_faults())
    assert "fill_volume(workload, volume, percent=95.0, namespace=None)" in faults
    assert "statvfs" in faults


def test_a_run_directory_in_use_is_refused_and_an_empty_one_taken(tmp_path: Path) -> None:
    from datetime import UTC, datetime

    now = datetime(2026, 1, 2, tzinfo=UTC)
    assert new_run_directory(tmp_path / "new", now=now) == tmp_path / "new"
    (tmp_path / "new" / "file").touch()
    with pytest.raises(InputError, match="--report"):
        new_run_directory(tmp_path / "new", now=now)
