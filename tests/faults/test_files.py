"""Faults of files: changed configuration and damaged weights, on real files."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.errors import HarnessError, PodGone
from harness.faults import files
from harness.system import models
from harness.system.models.fit import probe_accuracy


@dataclass(frozen=True)
class Named:
    name: str
    namespace: str = "n"


class FileWorld:
    """Two pods of a workload ``app``, each with a directory of its own."""

    def __init__(self, root: Path) -> None:
        self.run_dir = root / "run"
        self.run_dir.mkdir()
        self._root = root
        self.gone: set[str] = set()
        for pod in self.pods("app"):
            (root / pod.name).mkdir()

    def pods(self, workload: str, namespace: str | None = None) -> tuple[Named, ...]:
        return (Named("app-0"), Named("app-1")) if workload == "app" else ()

    def file(self, pod: str, name: str) -> Path:
        return self._root / pod / name

    def read_file(self, pod: str, namespace: str, volume: str, name: str) -> bytes:
        if pod in self.gone:
            raise PodGone(f"no pod {pod}")
        try:
            return self.file(pod, name).read_bytes()
        except OSError as error:
            raise HarnessError(f"{name} on volume {volume} of pod {pod}: {error.strerror}") from error

    def write_file(self, pod: str, namespace: str, volume: str, name: str, content: bytes) -> None:
        if pod in self.gone:
            raise PodGone(f"no pod {pod}")
        self.file(pod, name).write_bytes(content)

    def write_config(self, pod: str, namespace: str, volume: str, name: str, text: str) -> None:
        self.file(pod, name).write_text(text, encoding="utf-8")


@pytest.fixture
def world(tmp_path: Path) -> Any:
    found = FileWorld(tmp_path)
    for pod in found.pods("app"):
        found.file(pod.name, "job.yaml").write_text("rate: 1.0\nother: kept\n", encoding="utf-8")
        found.file(pod.name, "w.npz").write_bytes(models.SHIPPED_WEIGHTS.read_bytes())
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


def test_a_pod_that_is_gone_is_no_effect(world: Any) -> None:
    record = plan_damage(world)
    files.damage(world, record)
    world.gone = {"app-0"}
    with pytest.raises(PodGone):
        files.damaged(world, record)
