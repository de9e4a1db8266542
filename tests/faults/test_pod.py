"""Killing and hanging real processes."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from harness.clock import wait_until
from harness.errors import HarnessError
from harness.faults import pod
from harness.faults.injector import Injector
from tests.faults.worlds import SmallPod, SmallWorld, stat

Steps = list[tuple[str, Mapping[str, Any]]]


@pytest.fixture
def children() -> Iterator[list[subprocess.Popen[bytes]]]:
    started = [subprocess.Popen(["sleep", "60"]) for _ in range(2)]
    yield started
    for child in started:
        child.kill()
        child.wait()


@pytest.fixture
def world(tmp_path: Path, children: list[subprocess.Popen[bytes]]) -> SmallWorld:
    pids = {"app-0": [child.pid for child in children]}
    return SmallWorld(tmp_path, {"app": [SmallPod("app-0")]}, pids)


@pytest.fixture
def steps() -> Steps:
    return []


@pytest.fixture
def injector(world: SmallWorld, tmp_path: Path, steps: Steps) -> Injector:
    return Injector(world, tmp_path, lambda kind, name, data: steps.append((data["status"], data)), effect_timeout_s=5)


def statuses(steps: Steps) -> list[str]:
    return [status for status, _ in steps]


def test_hanging_stops_every_process_and_healing_lets_them_run(
    injector: Injector, steps: Steps, children: list[subprocess.Popen[bytes]]
) -> None:
    injector.inject("pod-hang", workload="app", namespace=None, seed=1)
    assert statuses(steps)[-1] == "effect"
    assert [stat(child.pid)[0] for child in children] == ["T", "T"]
    assert injector.heal() == []
    assert statuses(steps)[-2:] == ["undone", "cleared"]
    assert "T" not in [stat(child.pid)[0] for child in children]


@pytest.mark.parametrize(("ended", "seen"), [(1, "the kernel shows it stopped (T)"), (0, None)])
def test_a_hang_is_seen_when_a_probe_ended_meanwhile_but_not_without_the_main_process(
    world: SmallWorld, children: list[subprocess.Popen[bytes]], ended: int, seen: str | None
) -> None:
    record = pod.plan_hang(world, workload="app", namespace=None, seed=1)
    children[ended].kill()
    children[ended].wait()
    pod.hang(world, record)
    wait_until(lambda: stat(children[1 - ended].pid)[0] == "T", what="the other is stopped", timeout_s=5)
    assert pod.hanging(world, record) == seen


def test_a_process_that_still_runs_is_no_hang(world: SmallWorld, children: list[subprocess.Popen[bytes]]) -> None:
    record = pod.plan_hang(world, workload="app", namespace=None, seed=1)
    pod.hang(world, record)
    children[1].send_signal(signal.SIGCONT)
    wait_until(lambda: stat(children[1].pid)[0] != "T", what="it goes on", timeout_s=5)
    assert pod.hanging(world, record) is None


def test_healing_a_hang_whose_process_is_gone_is_no_failure(
    injector: Injector, steps: Steps, children: list[subprocess.Popen[bytes]]
) -> None:
    injector.inject("pod-hang", workload="app", namespace="n", seed=1)
    for child in children:
        child.kill()
        child.wait()
    assert injector.heal() == []
    assert statuses(steps)[-1] == "cleared"


def test_a_kill_is_seen_once_the_process_is_gone_whether_or_not_another_runs(
    injector: Injector, world: SmallWorld, steps: Steps, children: list[subprocess.Popen[bytes]]
) -> None:
    world.pids["app-0"] = [children[0].pid]
    injector.inject("pod-kill", workload="app", namespace=None, seed=1)
    assert (steps[0][1]["target"], steps[0][1]["namespace"]) == ("app-0", "n")
    assert children[0].wait() == -9
    assert statuses(steps) == ["injecting", "injected", "effect"]
    assert steps[-1][1]["observed"] == f"process {children[0].pid} is gone"


def test_a_pod_kept_down_is_gone_until_it_is_let_up_again(
    injector: Injector, world: SmallWorld, steps: Steps, children: list[subprocess.Popen[bytes]]
) -> None:
    def another() -> int:
        children.append(subprocess.Popen(["sleep", "60"]))
        return children[-1].pid

    world.pids["app-0"] = [children[0].pid]
    world.start = another
    injector.inject("pod-down", workload="app", namespace=None, seed=1)
    assert children[0].wait() == -9
    assert (world.down, statuses(steps)[-1]) == ({"app-0"}, "effect")
    assert injector.heal() == []
    assert (world.down, statuses(steps)[-2:]) == (set(), ["undone", "cleared"])
    assert steps[-1][1]["observed"] == "1 pods of app run again"


def test_a_pod_that_comes_back_though_it_was_kept_down_is_no_effect(
    injector: Injector, world: SmallWorld, steps: Steps, children: list[subprocess.Popen[bytes]]
) -> None:
    world.pids["app-0"] = [children[0].pid, children[1].pid]
    injector.inject("pod-down", workload="app", namespace=None, seed=1, effect_timeout_s=0.1)
    assert statuses(steps)[-1] == "no-effect"


def test_a_process_that_survives_its_kill_is_no_effect(
    injector: Injector,
    world: SmallWorld,
    steps: Steps,
    children: list[subprocess.Popen[bytes]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world.pids["app-0"] = [children[0].pid]
    monkeypatch.setattr(world, "signal", lambda process, number: True)
    injector.inject("pod-kill", workload="app", namespace=None, seed=1, effect_timeout_s=0.1)
    assert statuses(steps)[-1] == "no-effect"


def test_the_seed_decides_which_pod(injector: Injector, world: SmallWorld, steps: Steps) -> None:
    world.workloads["app"] = [SmallPod(f"app-{number}") for number in range(8)]
    world.pids = {pod.name: world.pids["app-0"] for pod in world.workloads["app"]}

    def drawn(seed: int) -> str:
        injector.inject("pod-hang", workload="app", namespace=None, seed=seed)
        injector.heal()
        return next(str(data["target"]) for status, data in reversed(steps) if status == "injected")

    assert drawn(5) == drawn(5)
    assert len({drawn(seed) for seed in range(12)}) > 1


def test_no_pod_or_one_that_does_not_run_is_refused(injector: Injector, world: SmallWorld, steps: Steps) -> None:
    for workload, namespace in (("nothing", None), ("app", "elsewhere")):
        with pytest.raises(HarnessError, match="no pod of workload"):
            injector.inject("pod-kill", workload=workload, namespace=namespace, seed=1)
    world.pids = {}
    with pytest.raises(HarnessError, match="is not running"):
        injector.inject("pod-hang", workload="app", namespace=None, seed=1)
    assert steps == []


def test_a_process_that_took_the_number_of_another_is_left_alone(
    world: SmallWorld, children: list[subprocess.Popen[bytes]], injector: Injector
) -> None:
    main = world.processes("app-0", "n")[0]
    other = {"pod": "app-0", "namespace": "n", "main": {"pid": main.pid, "started": main.started - 1}}
    with pytest.raises(HarnessError, match="ended before it could be killed"):
        pod.kill(world, other)
    wait_until(lambda: stat(main.pid)[0] in ("S", "R"), what="it sleeps", timeout_s=5)
    assert children[0].poll() is None
