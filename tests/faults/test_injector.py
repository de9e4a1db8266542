"""Faults go in with their undo on disk, are seen, come out in reverse, and one that will not keeps none in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from harness import gpu
from harness.errors import HarnessError
from harness.faults.catalogue import FAULTS
from harness.faults.injector import Injector
from harness.faults.ledger import LEDGER_FILE, Ledger
from tests.faults.worlds import SmallPod, SmallWorld


class Told:
    """The timeline, and at each event what the ledger on disk held."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self.events: list[tuple[str, str, Mapping[str, Any]]] = []
        self.outstanding: list[int] = []

    def __call__(self, kind: str, name: str, data: Mapping[str, Any]) -> None:
        assert kind == "fault"
        self.events.append((name, data["status"], data))
        self.outstanding.append(len(Ledger(self._run_dir).outstanding()))

    @property
    def steps(self) -> list[tuple[str, str]]:
        return [(name, status) for name, status, _ in self.events]


@pytest.fixture
def world(tmp_path: Path) -> SmallWorld:
    gpu.create(tmp_path / "gpus", device_count=2, time_scale=1000.0)
    (tmp_path / "volumes").mkdir()
    pods = {"inference": [SmallPod("inference-0"), SmallPod("inference-1", "other")]}
    return SmallWorld(tmp_path / "volumes", pods, gpus=tmp_path / "gpus")


@pytest.fixture
def told(tmp_path: Path) -> Told:
    return Told(tmp_path)


@pytest.fixture
def injector(world: SmallWorld, told: Told, tmp_path: Path) -> Injector:
    return Injector(world, tmp_path, told, effect_timeout_s=5.0)


def fill(injector: Injector, **changed: Any) -> str:
    return injector.inject("volume-fill", **{"workload": "inference", "volume": "models", "namespace": None} | changed)


def test_the_ledger_comes_first_then_the_fault_then_its_effect(injector: Injector, told: Told) -> None:
    assert fill(injector, percent=90.0) == "volume-fill#1"
    assert told.steps == [("volume-fill#1", status) for status in ("injecting", "injected", "effect")]
    assert told.outstanding == [1, 1, 1]
    assert told.events[1][2]["undoable"] is True
    assert "90.0 %" in told.events[2][2]["observed"]
    assert told.events[2][2]["source"] == "statvfs"


def test_pods_of_one_namespace_are_told_with_it(injector: Injector, told: Told) -> None:
    fill(injector, percent=50.0, namespace="other")
    fill(injector, percent=60.0)
    injector.heal()
    aims = {(name, data["target"], data.get("namespace")) for name, _, data in told.events if "target" in data}
    assert aims == {
        ("volume-fill#1", "inference-1:models", "other"),
        ("volume-fill#2", "inference-0:models, inference-1:models", None),
    }


def test_healing_undoes_in_reverse_and_closes(injector: Injector, told: Told, world: SmallWorld) -> None:
    fill(injector, percent=90.0)
    injector.inject("gpu-throttle", gpu=1, clock_mhz=90, reason="thermal")
    told.events.clear()
    assert injector.heal() == []
    assert told.steps == [
        ("gpu-throttle#2", "undoing"),
        ("gpu-throttle#2", "undone"),
        ("volume-fill#1", "undoing"),
        ("volume-fill#1", "undone"),
        ("gpu-throttle#2", "cleared"),
        ("volume-fill#1", "cleared"),
    ]
    assert world.volume_usage("inference-0", "n", "models") == (1_000_000, 1_000_000)


def test_healing_twice_does_nothing_the_second_time(injector: Injector, told: Told) -> None:
    fill(injector, percent=90.0)
    injector.heal()
    told.events.clear()
    assert injector.heal() == []
    assert told.events == []


def test_another_process_heals_what_this_one_left(injector: Injector, world: SmallWorld, told: Told) -> None:
    fill(injector, percent=90.0)
    assert Injector(world, told._run_dir, told).heal() == []
    assert told.steps[-2:] == [("volume-fill#1", "undone"), ("volume-fill#1", "cleared")]


@pytest.mark.parametrize("spoilt", ["unknown to this version", "its record is damaged", "its device is gone"])
def test_one_undo_that_fails_does_not_keep_the_others_in(
    injector: Injector, told: Told, world: SmallWorld, spoilt: str
) -> None:
    fill(injector, percent=90.0)
    ledger = Ledger(told._run_dir)
    if spoilt == "unknown to this version":
        ledger.open("pod-confused", {})
    elif spoilt == "its record is damaged":
        ledger.open("volume-fill", {"volume": "models"})
    else:
        ledger.open("gpu-throttle", {"gpu": 7})
    injector.inject("gpu-throttle", gpu=0, clock_mhz=90, reason="thermal")
    failures = injector.heal()
    assert len(failures) == 1
    assert "#2: " in failures[0]
    assert [name for name, status in told.steps if status == "undone"] == ["gpu-throttle#3", "volume-fill#1"]
    assert [name for name, status in told.steps if status == "undo-failed"] == [failures[0].partition(":")[0]]
    assert [entry.number for entry in ledger.outstanding()] == [2]


def test_a_ledger_that_cannot_be_written_does_not_keep_the_others_in(
    injector: Injector, world: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(injector, percent=90.0)
    injector.inject("gpu-throttle", gpu=0, clock_mhz=90, reason="thermal")

    def full(self: Ledger, entry: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Ledger, "close", full)
    failures = injector.heal()
    assert len(failures) == 2
    assert world.volume_usage("inference-0", "n", "models")[1] == 1_000_000
    assert gpu.SimulatedDevice(str(world.gpus), 0).reading().sm_clock_mhz > 90


def test_a_fault_without_effect_is_told_and_stays_outstanding(
    injector: Injector, told: Told, world: SmallWorld
) -> None:
    injector.inject("gpu-cooling-lost", gpu=1, celsius=100.0, effect_timeout_s=0.0)
    assert told.steps[-1] == ("gpu-cooling-lost#1", "no-effect")
    assert told.outstanding[-1] == 1


def test_a_look_that_fails_is_no_effect_and_says_why(injector: Injector, told: Told, world: SmallWorld) -> None:
    def unplugged() -> None:
        world.gpus = Path("/nonexistent")

    injector.watch = unplugged
    injector.inject("gpu-throttle", gpu=0, clock_mhz=90, reason="thermal", effect_timeout_s=0.0)
    assert told.steps[-1] == ("gpu-throttle#1", "no-effect")
    assert "/nonexistent" in told.events[-1][2]["observed"]


def test_a_fault_that_passes_by_itself_is_closed_at_once(injector: Injector, told: Told) -> None:
    injector.inject("gpu-xid", gpu=0, code=79)
    assert told.events[1][2]["undoable"] is False
    assert told.outstanding == [1, 1, 0]
    assert injector.heal() == []


def test_a_plan_that_fails_touches_and_writes_nothing(injector: Injector, told: Told, tmp_path: Path) -> None:
    for params in ({"workload": "nothing"}, {"volume": "none"}, {"percent": 0.0}, {"percent": 101.0}):
        with pytest.raises(HarnessError):
            fill(injector, **{"percent": 90.0} | params)
    with pytest.raises(HarnessError, match="no fault is named 'flood'; there are: pod-kill"):
        injector.inject("flood")
    assert told.events == []
    assert not (tmp_path / LEDGER_FILE).exists()


def test_an_injection_that_fails_half_way_is_undone(injector: Injector, told: Told, world: SmallWorld) -> None:
    """The second pod's volume cannot be written; the first is full already."""
    (world.root / "inference-1").mkdir()
    (world.root / "inference-1" / ".filled-by-harness").mkdir()
    with pytest.raises(OSError):
        fill(injector, percent=90.0)
    assert world.volume_usage("inference-0", "n", "models")[1] < 1_000_000
    (world.root / "inference-1" / ".filled-by-harness").rmdir()
    assert injector.heal() == []
    assert world.volume_usage("inference-0", "n", "models")[1] == 1_000_000


def test_waiting_for_an_effect_ends_when_the_watch_says_so(world: SmallWorld, told: Told, tmp_path: Path) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt("SIGINT")

    injector = Injector(world, tmp_path, told, effect_timeout_s=30.0, watch=interrupted)
    with pytest.raises(KeyboardInterrupt):
        fill(injector, percent=90.0)
    assert injector.heal() == []
    assert told.steps[-1] == ("volume-fill#1", "cleared")


# Faults of processes and files have tests of their own, with real ones, those of a cluster with one in memory.
ELSEWHERE = {"pod-kill", "pod-down", "pod-hang", "config-change", "weights-damage"}


@pytest.mark.parametrize("name", [name for name in FAULTS if name not in ELSEWHERE and not FAULTS[name].needs_cluster])
def test_every_fault_is_put_in_seen_and_taken_out(name: str, injector: Injector, told: Told, world: SmallWorld) -> None:
    params: dict[str, dict[str, Any]] = {
        "volume-fill": {"workload": "inference", "volume": "models", "namespace": "n", "percent": 95.0},
        "gpu-cooling-lost": {"gpu": 1, "celsius": 86.0},
        "gpu-memory-taken": {"gpu": 1, "fraction": 0.95},
        "gpu-throttle": {"gpu": 1, "clock_mhz": 90, "reason": "hw_slowdown"},
        "gpu-xid": {"gpu": 1, "code": 79},
        "gpu-lost": {"gpu": 1},
    }
    injector.inject(name, **params[name])
    assert told.steps[-1] == (f"{name}#1", "effect")
    assert injector.heal() == []
    if FAULTS[name].undo is not None:
        assert told.steps[-2:] == [(f"{name}#1", "undone"), (f"{name}#1", "cleared")]
    untouched = gpu.SimulatedDevice(str(world.gpus), 0).reading()
    assert untouched.temperature_celsius is not None
    assert untouched.temperature_celsius < 60


def test_a_real_device_is_never_made_ill(injector: Injector, world: SmallWorld, told: Told) -> None:
    world.gpus = None
    for name in (each for each in FAULTS if each.startswith("gpu-")):
        with pytest.raises(HarnessError, match="needs a simulated GPU"):
            injector.inject(name, gpu=0)
    assert told.events == []


class TestFillingVolumes:
    def test_a_volume_is_filled_to_its_share_and_no_further(self, injector: Injector, world: SmallWorld) -> None:
        world.used_bytes = 100_000
        fill(injector, percent=95.0)
        assert world.volume_usage("inference-0", "n", "models") == (1_000_000, 50_000)
        assert world.volume_usage("inference-1", "other", "models") == (1_000_000, 50_000)

    def test_only_the_named_namespace_is_filled(self, injector: Injector, world: SmallWorld) -> None:
        fill(injector, percent=95.0, namespace="other")
        assert world.volume_usage("inference-0", "n", "models")[1] == 1_000_000

    @pytest.mark.parametrize(("used", "size"), [(950_000, 1_000_000), (0, 0), (0, 5 * 2**30)])
    def test_a_volume_that_is_full_sizeless_or_too_large_is_refused(
        self, injector: Injector, world: SmallWorld, used: int, size: int
    ) -> None:
        world.used_bytes, world.volume_bytes = used, size
        with pytest.raises(HarnessError, match="models"):
            fill(injector, percent=95.0)


def test_metal_gets_the_time_it_takes_to_warm_up(injector: Injector, told: Told) -> None:
    injector.effect_timeout_s = 0.0
    injector.time_scale = 60.0
    injector.inject("gpu-cooling-lost", gpu=1, celsius=86.0)
    assert told.steps[-1] == ("gpu-cooling-lost#1", "effect")


def test_no_more_time_than_that(injector: Injector, told: Told) -> None:
    injector.effect_timeout_s = 0.0
    injector.time_scale = 1e6
    injector.inject("gpu-cooling-lost", gpu=1, celsius=86.0)
    assert told.steps[-1] == ("gpu-cooling-lost#1", "no-effect")
