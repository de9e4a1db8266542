"""Faults of files: changed configuration, damaged weights, a full volume, on real files."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.errors import HarnessError, PodGone
from harness.faults import disk, files
from harness.system import models
from harness.system.models.fit import probe_accuracy
from tests.faults.worlds import SmallPod


class FileWorld:
    """Two pods of a workload ``app``, each with a directory of its own, or with one that all of them share.

    ``gone`` pods have no successor but those in ``further``. ``shows``: what is left of the looks until a pod of
    ``further`` can be reached through.
    """

    look_every_s = 0.0
    reach_s = 0.0

    def __init__(self, root: Path) -> None:
        self.run_dir = root / "run"
        self.run_dir.mkdir()
        self._root = root
        self.gone: set[str] = set()
        self.further: list[SmallPod] = []
        self.shared = False
        self.shows = 0
        for pod in ("app-0", "app-1", "app-7", "shared"):
            (root / pod).mkdir()

    def pods(self, workload: str, namespace: str | None = None) -> tuple[SmallPod, ...]:
        all_pods = (SmallPod("app-0"), SmallPod("app-1"), *self.further)
        return tuple(pod for pod in all_pods if pod.name not in self.gone and pod.workload == workload)

    def file(self, pod: str, name: str) -> Path:
        return self._root / ("shared" if self.shared else pod) / name

    def read_file(self, pod: str, namespace: str, volume: str, name: str) -> bytes:
        self._require(pod)
        try:
            return self.file(pod, name).read_bytes()
        except OSError as error:
            raise HarnessError(f"{name} on volume {volume} of pod {pod}: {error.strerror}") from error

    def write_file(self, pod: str, namespace: str, volume: str, name: str, content: bytes) -> None:
        self._require(pod)
        self.file(pod, name).write_bytes(content)

    def volume_usage(self, pod: str, namespace: str, volume: str) -> tuple[int, int]:
        return 1000, 1000

    def allocate_file(self, pod: str, namespace: str, volume: str, name: str, size_bytes: int) -> None:
        self.write_file(pod, namespace, volume, name, bytes(size_bytes))

    def remove_file(self, pod: str, namespace: str, volume: str, name: str) -> None:
        self._require(pod)
        self.file(pod, name).unlink(missing_ok=True)

    def has_file(self, pod: str, namespace: str, volume: str, name: str) -> bool:
        self._require(pod)
        return self.file(pod, name).exists()

    def kept_volume(self, pod: str, namespace: str, volume: str) -> Mapping[str, Any] | None:
        return {"claim": "c"} if self.shared else None

    def pods_with(self, kept: Mapping[str, Any]) -> list[tuple[SmallPod, str]]:
        assert kept == {"claim": "c"}
        self.shows -= 1
        return [(pod, "v") for pod in self.pods("app") if pod not in self.further or self.shows < 0]

    def config_source(self, pod: str, namespace: str, volume: str, name: str) -> Mapping[str, Any]:
        return {"pod": pod, "name": name}

    def write_config(self, source: Mapping[str, Any], text: str) -> None:
        self.file(source["pod"], source["name"]).write_text(text, encoding="utf-8")

    def _require(self, pod: str) -> None:
        if pod not in [each.name for each in self.pods("app")]:
            raise PodGone(f"no pod {pod}")


@pytest.fixture
def world(tmp_path: Path) -> Any:
    found = FileWorld(tmp_path)
    for folder in ("app-0", "app-1", "shared"):
        found.file(folder, "job.yaml").write_text("rate: 1.0\nother: kept\n", encoding="utf-8")
        found.file(folder, "w.npz").write_bytes(models.SHIPPED_WEIGHTS.read_bytes())
    return found


def plan_config(world: Any, values: Mapping[str, Any]) -> files.Record:
    return files.plan_config(world, workload="app", volume="v", file="job.yaml", values=values, namespace=None)


def plan_damage(world: Any, file: str = "w.npz") -> files.Record:
    return files.plan_damage(world, workload="app", volume="v", file=file, namespace=None, seed=1)


def test_a_key_is_changed_for_every_pod_and_restored_to_the_letter(world: Any) -> None:
    path = world.file("app-1", "job.yaml")
    before = path.read_text(encoding="utf-8")
    record = plan_config(world, {"rate": 0.0})
    assert path.read_text(encoding="utf-8") == before
    assert files.config_changed(world, record) is None
    files.change_config(world, record)
    assert files.config_changed(world, record) is not None
    assert path.read_text(encoding="utf-8") == "other: kept\nrate: 0.0\n"
    for _ in range(2):
        files.restore_config(world, record)
        assert path.read_text(encoding="utf-8") == before
        assert files.config_restored(world, record) is not None


def test_damaged_weights_load_answer_nonsense_and_come_back(world: Any) -> None:
    path = world.file("app-0", "w.npz")
    record = plan_damage(world)
    assert files.damaged(world, record) is None
    files.damage(world, record)
    assert files.damaged(world, record) is not None
    assert probe_accuracy(models.load(path)) < 0.5
    files.restore_weights(world, record)
    assert files.weights_restored(world, record) is not None
    assert probe_accuracy(models.load(path)) >= 0.97


def test_damage_is_the_same_for_the_same_seed(world: Any) -> None:
    record = plan_damage(world)
    files.damage(world, record)
    first, second = (world.file(pod, "w.npz").read_bytes() for pod in ("app-0", "app-1"))
    with np.load(io.BytesIO(first)) as one, np.load(io.BytesIO(second)) as other:
        assert all((one[name] == other[name]).all() for name in one.files)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 broken"])
def test_a_file_that_is_no_weights_is_refused_untouched(world: Any, content: bytes) -> None:
    path = world.file("app-1", "w.npz")
    path.write_bytes(content)
    with pytest.raises(HarnessError, match="no weights"):
        plan_damage(world)
    assert path.read_bytes() == content


@pytest.mark.parametrize("content", ["- a list\n", "just text\n"])
def test_a_configuration_without_keys_is_refused_untouched(world: Any, content: str) -> None:
    path = world.file("app-0", "job.yaml")
    path.write_text(content, encoding="utf-8")
    with pytest.raises(HarnessError, match="holds no mapping"):
        plan_config(world, {"rate": 0.0})
    assert path.read_text(encoding="utf-8") == content


def test_a_missing_file_or_workload_is_named(world: Any) -> None:
    with pytest.raises(HarnessError, match=r"gone\.npz on volume v of pod app-0"):
        plan_damage(world, "gone.npz")
    with pytest.raises(HarnessError, match="no pod of workload 'ghost'"):
        files.plan_config(world, workload="ghost", volume="v", file="f", values={}, namespace=None)


def test_undoing_after_a_pod_is_gone_puts_the_others_right(world: Any) -> None:
    record = plan_damage(world)
    files.damage(world, record)
    world.gone = {"app-0"}
    files.restore_weights(world, record)
    assert files.weights_restored(world, record)
    assert world.file("app-1", "w.npz").read_bytes() == models.SHIPPED_WEIGHTS.read_bytes()
    assert world.file("app-0", "w.npz").read_bytes() != models.SHIPPED_WEIGHTS.read_bytes()


def test_weights_that_went_with_all_pods_are_told_to_be_gone(world: Any) -> None:
    record = plan_damage(world)
    files.damage(world, record)
    world.gone = {"app-0", "app-1"}
    files.restore_weights(world, record)
    assert files.weights_restored(world, record) == "gone with their volumes: app-0, app-1"


@pytest.fixture
def shared(world: Any) -> Any:
    """The world whose pods share one volume that outlives them."""
    world.shared = True
    return world


def plan_fill(world: Any) -> Mapping[str, Any]:
    return disk.plan_fill(world, workload="app", volume="v", namespace=None, percent=50)


def break_and_lose_all(world: Any) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Weights damaged, the volume filled, then no pod left; the records as another process reads them."""
    damage, fill = plan_damage(world), plan_fill(world)
    files.damage(world, damage)
    disk.fill(world, fill)
    world.gone = {"app-0", "app-1"}
    return json.loads(json.dumps(damage)), json.loads(json.dumps(fill))


def test_what_outlives_its_pods_is_put_right_through_whichever_pod_has_it_then(shared: Any) -> None:
    damage, fill = break_and_lose_all(shared)
    shared.further = [SmallPod("app-7")]
    assert files.weights_restored(shared, damage) is None
    assert disk.freed(shared, fill) is None
    files.restore_weights(shared, damage)
    disk.free(shared, fill)
    assert shared.file("app-7", "w.npz").read_bytes() == models.SHIPPED_WEIGHTS.read_bytes()
    assert not shared.file("app-7", disk.FILL_FILE).exists()
    assert files.weights_restored(shared, damage) == "the checksum of w.npz is the original one"
    assert disk.freed(shared, fill) == "v holds no filling file any more"


def test_what_outlives_its_pods_is_neither_undone_nor_seen_gone_while_none_has_it(shared: Any) -> None:
    damage, fill = break_and_lose_all(shared)
    for order, record in ((files.restore_weights, damage), (disk.free, fill)):
        with pytest.raises(HarnessError, match="volume v of pod app-0 outlives it, and no pod has it now: start one"):
            order(shared, record)
    for look, record in ((files.weights_restored, damage), (disk.freed, fill)):
        with pytest.raises(HarnessError, match="no pod has it now"):
            look(shared, record)


def test_the_pod_that_takes_anothers_place_is_waited_for(shared: Any) -> None:
    damage, _ = break_and_lose_all(shared)
    shared.further, shared.shows, shared.reach_s = [SmallPod("app-7")], 3, 30.0
    files.restore_weights(shared, damage)
    assert shared.file("app-7", "w.npz").read_bytes() == models.SHIPPED_WEIGHTS.read_bytes()


def test_a_configuration_is_back_only_when_a_pod_reads_it_so(world: Any) -> None:
    record = plan_config(world, {"rate": 0.0})
    files.change_config(world, record)
    files.restore_config(world, record)
    world.gone = {"app-0", "app-1"}
    assert files.config_restored(world, record) is None
    world.further = [SmallPod("app-7")]
    world.file("app-7", "job.yaml").write_text("rate: 0.0\nother: kept\n", encoding="utf-8")
    assert files.config_restored(world, record) is None
    world.file("app-7", "job.yaml").write_text("rate: 1.0\nother: kept\n", encoding="utf-8")
    assert files.config_restored(world, record) == "job.yaml reads as before"


def test_a_pod_that_is_gone_is_no_effect(world: Any) -> None:
    record = plan_damage(world)
    files.damage(world, record)
    world.gone = {"app-0"}
    with pytest.raises(PodGone):
        files.damaged(world, record)
