"""Faults of what a pod reads: a changed configuration, damaged model weights."""

from __future__ import annotations

import contextlib
import hashlib
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from harness.errors import HarnessError, PodGone
from harness.faults.picking import pods_of
from harness.faults.world import Pod, World

Record = Mapping[str, Any]
_BACKUPS = "backups"


def plan_config(
    world: World, *, workload: str, volume: str, file: str, values: Mapping[str, Any], namespace: str | None
) -> Record:
    """The record of setting keys of a YAML file for each of the workload's pods."""
    changes = []
    for pod in pods_of(world, workload, namespace):
        before = world.read_file(pod.name, pod.namespace, volume, file).decode()
        content = yaml.safe_load(before) or {}
        if not isinstance(content, dict):
            raise HarnessError(f"{file} on volume {volume} of pod {pod.name} holds no mapping whose keys could be set")
        after = yaml.safe_dump({**content, **values})
        changes.append({**_named(pod), "before": before, "after": after})
    return {"volume": volume, "file": file, "changes": changes}


def change_config(world: World, record: Record) -> None:
    """Each pod finds the changed file, whole, at its next reading."""
    for change in record["changes"]:
        world.write_config(*_place(record, change), change["after"])


def config_changed(world: World, record: Record) -> str | None:
    """That every pod has the file with what was asked for."""
    if all(world.read_file(*_place(record, each)).decode() == each["after"] for each in record["changes"]):
        return f"{record['file']} reads as changed for {len(record['changes'])} pods"
    return None


def restore_config(world: World, record: Record) -> None:
    """Each file is as it was."""
    for change in record["changes"]:
        world.write_config(*_place(record, change), change["before"])


def config_restored(world: World, record: Record) -> str | None:
    """That every pod that is still there has the file as before."""
    for change in record["changes"]:
        with contextlib.suppress(PodGone):
            if world.read_file(*_place(record, change)).decode() != change["before"]:
                return None
    return f"{record['file']} reads as before"


def plan_damage(world: World, *, workload: str, volume: str, file: str, namespace: str | None, seed: int) -> Record:
    """The record of damaging a weights file on a volume of each of the workload's pods; the originals are kept."""
    damages = []
    for pod in pods_of(world, workload, namespace):
        original = world.read_file(pod.name, pod.namespace, volume, file)
        _shuffled(original, seed)  # a file that is no weights is refused before anything is touched
        digest = _digest(original)
        backup = world.run_dir / _BACKUPS / digest
        backup.parent.mkdir(exist_ok=True)
        backup.write_bytes(original)
        damages.append({**_named(pod), "sha256": digest})
    return {"volume": volume, "file": file, "seed": seed, "damages": damages}


def damage(world: World, record: Record) -> None:
    """Each pod's weights have their numbers in another order."""
    for each in record["damages"]:
        world.write_file(*_place(record, each), _shuffled(_original(world, each), record["seed"]))


def damaged(world: World, record: Record) -> str | None:
    """That no file has its checksum any more."""
    if any(_digest(world.read_file(*_place(record, each))) == each["sha256"] for each in record["damages"]):
        return None
    return f"the checksum of {record['file']} differs for {len(record['damages'])} pods"


def restore_weights(world: World, record: Record) -> None:
    """Each pod's weights are the original ones; those of a pod that is gone went with it."""
    for each in record["damages"]:
        with contextlib.suppress(PodGone):
            world.write_file(*_place(record, each), _original(world, each))


def weights_restored(world: World, record: Record) -> str | None:
    """That every file that is still there has its checksum again."""
    for each in record["damages"]:
        with contextlib.suppress(PodGone):
            if _digest(world.read_file(*_place(record, each))) != each["sha256"]:
                return None
    return f"the checksum of {record['file']} is the original one"


def _place(record: Record, each: Record) -> tuple[str, str, str, str]:
    """Pod, namespace, volume and name of a file."""
    return each["pod"], each["namespace"], record["volume"], record["file"]


def _original(world: World, each: Record) -> bytes:
    path: Path = world.run_dir / _BACKUPS / each["sha256"]
    return path.read_bytes()


def _named(pod: Pod) -> dict[str, str]:
    return {"pod": pod.name, "namespace": pod.namespace}


def _shuffled(content: bytes, seed: int) -> bytes:
    random = np.random.default_rng(seed)
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            # Numbers only: shapes and the file's own notes stay, so that the model still loads.
            shuffled = {
                name: random.permutation(array.ravel()).reshape(array.shape) if array.dtype.kind == "f" else array
                for name, array in arrays.items()
            }
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise HarnessError(f"the file holds no weights in NumPy's .npz form: {error}") from error
    out = io.BytesIO()
    np.savez(out, allow_pickle=False, **shuffled)
    return out.getvalue()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
