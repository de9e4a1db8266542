"""`harness up`, plain `chaos run` against it, `harness status` and `harness down`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from harness.environments.local.node import LocalNode
from harness.environments.local.state import NodeState
from harness.environments.processes import process_started
from tests.e2e.conftest import CHECKOUT, Runner, still_there

pytestmark = pytest.mark.e2e

CHAOS = Path(sys.executable).with_name("chaos")


def test_an_experiment_runs_under_plain_chaos_run_and_down_leaves_nothing(runner: Runner) -> None:
    up = runner.run("up", "--seed", "7")
    assert up.code == 0, up.err
    (state_file,) = (runner.root / "cwd" / "reports").glob("*/environment.json")
    node = LocalNode(NodeState.load(state_file.parent))
    try:
        status = runner.run("status")
        assert status.code == 0
        assert "inference-0" in status.out
        assert node.state.prometheus in status.out
        statuses = _chaos_run(runner, CHECKOUT / "experiments" / "model-volume-full.yaml")
        assert statuses["hold-until-notified"] == ("succeeded", ["DiskFilling"])
        held = requests.get(f"{node.state.receivers[0]}/notifications", timeout=5).json()["notifications"]
        assert any(alert["labels"]["alertname"] == "DiskFilling" for each in held for alert in each["body"]["alerts"])
        unnamed = _chaos_run(runner, _without_names(runner.root / "cwd" / "unnamed.yaml"))
        assert unnamed["hold-until-notified"] == ("succeeded", ["DiskFilling"])
        size, available = node.volume_usage("inference-0", "model-serving", "models")
        assert available / size > 0.5
        processes = [(node.state.pid, node.state.pid_started)]
        processes += [
            (ref.pid, ref.started) for pod in node.state.pods for ref in node.processes(pod.name, pod.namespace)
        ]
        assert all(process_started(pid) == started for pid, started in processes)
        down = runner.run("down")
        assert down.code == 0, down.err
        assert still_there(processes) == []
    finally:
        node.stop()
    assert runner.run("status").code == 1


def _chaos(runner: Runner, experiment: Path) -> subprocess.CompletedProcess[str]:
    """Plain Chaos Toolkit, as its user calls it."""
    return subprocess.run(
        [str(CHAOS), "run", str(experiment)],
        cwd=runner.root / "cwd",
        env=runner.environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def _chaos_run(runner: Runner, experiment: Path) -> dict[str, tuple[str, Any]]:
    """Each activity's status and output."""
    chaos = _chaos(runner, experiment)
    assert chaos.returncode == 0, chaos.stdout + chaos.stderr
    journal = json.loads((runner.root / "cwd" / "journal.json").read_text(encoding="utf-8"))
    return {run["activity"]["name"]: (run["status"], run["output"]) for run in journal["run"]}


def _without_names(path: Path) -> Path:
    """The same experiment, whose hold waits for what the file expects."""
    document = yaml.safe_load((CHECKOUT / "experiments" / "model-volume-full.yaml").read_text(encoding="utf-8"))
    (hold,) = (each["provider"] for each in document["method"] if each["provider"]["func"] == "hold")
    del hold["arguments"]
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    return path


def test_chaos_run_without_an_environment_says_so_and_breaks_nothing(runner: Runner) -> None:
    chaos = _chaos(runner, CHECKOUT / "experiments" / "gpu-overheats.yaml")
    assert "start one with `harness up`" in chaos.stdout + chaos.stderr
