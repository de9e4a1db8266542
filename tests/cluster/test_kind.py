"""The shipped stack on a real kind cluster: the same experiments, the same verdicts, and nothing left behind."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cluster.conftest import HALF_SPEED, ClusterRunner
from tests.cluster.twins import TWINS
from tests.e2e.conftest import CHECKOUT, Outcome, Runner
from tests.e2e.test_sabotage import BATCHES

pytestmark = pytest.mark.cluster

Objects = set[tuple[str, str, str]]
TWO = ("model-volume-full.yaml", "gpu-overheats.yaml")


def test_load_comes_from_this_machine_where_that_is_wanted(first_run: Outcome, cluster_before: Objects) -> None:
    state = json.loads((first_run.run_dir / "environment.json").read_text(encoding="utf-8"))
    assert state["entry"].startswith("127.0.0.1:")
    assert (first_run.run_dir / "locust.out").exists()
    assert sum(event["data"]["requests"] for event in first_run.events("load")) > 50
    assert "harness-entry" not in {name for _, _, name in cluster_before}


def test_the_same_experiments_pass_under_several_workers_and_nothing_is_left(
    runner: ClusterRunner, cluster_before: Objects
) -> None:
    three = ("gpu-overheats.yaml", "model-volume-full.yaml", "learning-rate-too-high.yaml")
    outcome = runner.in_cluster("--load-workers", "2", *HALF_SPEED, experiments=three)
    short = [each for each in outcome.result["results"] if each["verdict"] != "PASS"]
    assert (outcome.code, short) == (0, []), outcome.out + outcome.err
    assert outcome.result["environment"] == "kind"
    assert {"kubernetes", "prometheus", "alertmanager", "kind"} <= outcome.result["versions"].keys()
    assert {event["data"].get("worker") for event in outcome.events("load")} == {0, 1}
    assert runner.objects() == cluster_before


@pytest.mark.long
def test_everything_that_is_shipped_passes(runner: ClusterRunner, cluster_before: Objects) -> None:
    outcome = runner.in_cluster(timeout_s=1200)
    short = [each for each in outcome.result["results"] if each["verdict"] != "PASS"]
    assert (outcome.code, short) == (0, []), outcome.out + outcome.err
    assert any("keeps-restarting" in note for note in outcome.result["not_exercised"])
    assert runner.objects() == cluster_before


def break_stack(target: Path, *sabotages: Callable[[Path], None]) -> Path:
    """A copy of the stack a cluster gets, broken."""
    for name in ("stack", "cluster"):
        shutil.copytree(CHECKOUT / "fixtures" / name, target / name)
    for sabotage in sabotages:
        sabotage(target)
    return target


@pytest.mark.long
def test_every_sabotaged_twin_fails(runner: ClusterRunner, cluster_before: Objects, tmp_path: Path) -> None:
    broken = break_stack(tmp_path / "broken", *TWINS.values())
    names = sorted(TWINS)
    chosen = tuple(f"cluster/{name}.yaml" for name in names)
    outcome = runner.in_cluster("--stack", str(broken), experiments=chosen, timeout_s=1200)
    assert outcome.code == 1, outcome.out + outcome.err
    assert [name for name in names if "FAIL" not in outcome.verdicts(name).values()] == [], outcome.out


@pytest.mark.long
@pytest.mark.parametrize("batch", BATCHES, ids=["rules-and-routes", "training-and-data", "receivers-and-thresholds"])
def test_twins_fail_here_as_they_do_on_the_local_machine(
    runner: ClusterRunner, cluster_before: Objects, tmp_path: Path, batch: dict[str, Callable[[Path], None]]
) -> None:
    stack = Path(shutil.copytree(CHECKOUT / "fixtures" / "stack", tmp_path / "stack"))
    for sabotage in batch.values():
        sabotage(stack)
    chosen = sorted(batch.keys() - {"inference-pod-keeps-restarting"})  # a kubelet is too slow for it
    experiments = tuple(f"{name}.yaml" for name in chosen)
    outcome = runner.in_cluster("--stack", str(stack), experiments=experiments, timeout_s=1200)
    assert outcome.code == 1, outcome.out + outcome.err
    assert [name for name in chosen if "FAIL" not in outcome.verdicts(name).values()] == [], outcome.out


@pytest.mark.long
def test_local_and_kind_agree(runner: ClusterRunner, cluster_before: Objects) -> None:
    where = ("--environment", "local,kind", "--keep", "--cluster-name", runner.cluster)
    outcome = runner.certify(*where, experiments=TWO)
    assert outcome.code == 0, outcome.out + outcome.err
    assert "local and kind: 0 disagreements" in outcome.out
    for name in ("local", "kind"):
        result = json.loads((outcome.run_dir / name / "result.json").read_text(encoding="utf-8"))
        assert (result["environment"], result["verdict"]) == (name, "PASS")


def test_what_a_killed_run_left_is_healed_by_another_process_and_taken_down(
    runner: ClusterRunner, cluster_before: Objects
) -> None:
    run_dir = runner.root / "run"
    chosen = ("--experiments", str(CHECKOUT / "experiments" / "model-volume-full.yaml"))
    process = runner.start("certify", *runner.where(), *HALF_SPEED, *chosen, "--report", str(run_dir))
    wait_for_fault(process, run_dir / "timeline.jsonl")
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=20)
    pods = runner.kubectl("-n", "model-serving", "get", "pods", "-o", "name").split()
    filled = [pod for pod in pods if filling_file(runner, pod)]
    assert len(filled) == 2
    gone, kept = filled
    runner.kubectl("-n", "model-serving", "delete", gone, "--grace-period=0", "--force")
    healed = runner.run("heal", str(run_dir))
    assert healed.code == 0, healed.err
    assert "volume-fill#1: undone" in healed.out
    assert not filling_file(runner, kept)
    down = runner.run("down", str(run_dir))
    assert down.code == 0, down.err
    assert runner.objects() == cluster_before


@pytest.mark.long
def test_a_stack_that_never_becomes_ready_is_a_fail_that_says_why(
    runner: ClusterRunner, cluster_before: Objects, tmp_path: Path
) -> None:
    stack = tmp_path / "stack"
    stack.mkdir()
    for path in (CHECKOUT / "fixtures" / "stack").iterdir():
        text = path.read_text(encoding="utf-8")
        (stack / path.name).write_text(text.replace("workloads.training]", "workloads.trayning]"))
    chosen = ("--stack", str(stack), "--ready-timeout", "60")
    outcome = runner.in_cluster(*chosen, experiments=("gpu-warm.yaml",))
    assert outcome.code == 1, outcome.out + outcome.err
    assert "not ready after 60 s" in outcome.out
    assert "trayning" in outcome.out
    assert runner.objects() == cluster_before


def test_interrupted_it_leaves_nothing(runner: ClusterRunner, cluster_before: Objects) -> None:
    run_dir = runner.root / "run"
    chosen = ("--experiments", str(CHECKOUT / "experiments" / "gpu-overheats.yaml"))
    process = runner.start("certify", *runner.where(), *HALF_SPEED, *chosen, "--report", str(run_dir))
    wait_for_fault(process, run_dir / "timeline.jsonl")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 2, out + err
    assert runner.objects() == cluster_before
    assert not list(run_dir.glob("*.kubeconfig"))


def wait_for_fault(process: subprocess.Popen[str], timeline: Path) -> None:
    """Returns once the first fault's effect is on record."""
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        if timeline.exists() and '"effect"' in timeline.read_text(encoding="utf-8"):
            return
        time.sleep(0.2)
    raise AssertionError("no fault within 180 s")


def filling_file(runner: ClusterRunner, pod: str) -> bool:
    """Whether the pod's model volume holds the file that fills it."""
    listed = runner.kubectl("-n", "model-serving", "exec", pod, "--", "ls", "-a", "/models")
    return ".filled-by-harness" in listed


def test_local_runs_need_no_cluster(tmp_path: Path) -> None:
    runner = Runner(tmp_path)
    outcome = runner.run("certify", "--environment", "local", "--dry-run")
    assert (outcome.code, outcome.out.count("\n")) == (0, 1)
