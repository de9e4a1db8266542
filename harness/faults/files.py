"""Faults of what a pod reads: a changed configuration, damaged model weights."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from harness.errors import HarnessError
from harness.faults.picking import pods_of
from harness.faults.volumes import ended_with_pods, place_now, put_right, recorded_volume, unless_ended
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
        source = dict(world.config_source(pod.name, pod.namespace, volume, file))
        changes.append({**_named(pod), "source": source, "before": before, "after": after})
    return {"volume": volume, "file": file, "changes": changes}


def change_config(world: World, record: Record) -> None:
    """Each pod finds the changed file, whole, at its next reading."""
    for change in record["changes"]:
        world.write_config(change["source"], change["after"])


def config_changed(world: World, record: Record) -> str | None:
    """That every pod has the file with what was asked for."""
    if all(world.read_file(*_place(record, each)).decode() == each["after"] for each in record["changes"]):
        return f"{record['file']} reads as changed for {len(record['changes'])} pods"
    return None


def restore_config(world: World, record: Record) -> None:
    """Each file is as it was, also for those that took a pod's place."""
    for change in record["changes"]:
        world.write_config(change["source"], change["before"])


def config_restored(world: World, record: Record) -> str | None:
    """That every pod, or whichever pods its workload has by now, has the file as before; None where there is none."""
    for change in record["changes"]:
        found = world.pods(change["workload"], change["namespace"])
        readers = [pod for pod in found if pod.name == change["pod"]] or found
        texts = {world.read_file(pod.name, pod.namespace, record["volume"], record["file"]).decode() for pod in readers}
        if texts != {change["before"]}:
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
        damages.append({**recorded_volume(world, pod, volume), "sha256": digest})
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
    """Each pod's weights are the original ones; those on a volume that ended with its pod went with it."""
    for each in record["damages"]:
        original = _original(world, each)

        def write(pod: str, namespace: str, volume: str, original: bytes = original) -> None:
            world.write_file(pod, namespace, volume, record["file"], original)

        put_right(world, each, record["volume"], write)


def weights_restored(world: World, record: Record) -> str | None:
    """That every file that is still there has its checksum again."""
    read = 0
    for each in record["damages"]:
        with unless_ended(each):
            content = world.read_file(*place_now(world, each, record["volume"]), record["file"])
            if _digest(content) != each["sha256"]:
                return None
            read += 1
    return f"the checksum of {record['file']} is the original one" if read else ended_with_pods(record["damages"])


def _place(record: Record, each: Record) -> tuple[str, str, str, str]:
    """Pod, namespace, volume and name of a file."""
    return each["pod"], each["namespace"], record["volume"], record["file"]


def _original(world: World, each: Record) -> bytes:
    path: Path = world.run_dir / _BACKUPS / each["sha256"]
    return path.read_bytes()


def _named(pod: Pod) -> dict[str, str]:
    return {"pod": pod.name, "namespace": pod.namespace, "workload": pod.workload}


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
