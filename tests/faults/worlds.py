"""Worlds to break: volumes in memory, processes and simulated devices that are real."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.environments.local import volume_files
from harness.errors import HarnessError
from harness.model import ProcessRef


@dataclass(frozen=True)
class SmallPod:
    name: str
    namespace: str = "n"
    workload: str = "app"


@dataclass
class SmallWorld:
    """Pods by workload; processes are this machine's; a volume is a directory with a size of its own."""

    root: Path
    workloads: dict[str, list[SmallPod]] = field(default_factory=dict)
    pids: dict[str, list[int]] = field(default_factory=dict)
    volume_bytes: int = 1_000_000
    used_bytes: int = 0
    gpus: Path | None = None
    start: Callable[[], int] | None = None
    down: set[str] = field(default_factory=set)

    def pods(self, workload: str, namespace: str | None = None) -> Sequence[SmallPod]:
        return [pod for pod in self.workloads.get(workload, []) if namespace in (None, pod.namespace)]

    def removable(self, workload: str, namespace: str | None = None) -> Sequence[SmallPod]:
        return self.pods(workload, namespace)

    def processes(self, pod: str, namespace: str) -> Sequence[ProcessRef]:
        found = [(pid, stat(pid)) for pid in self.pids.get(pod, [])]
        return [ProcessRef(pid, started) for pid, (state, started) in found if state not in ("Z", "gone")]

    def process_state(self, process: ProcessRef) -> str | None:
        state, started = stat(process.pid)
        return state if started == process.started and state not in ("Z", "gone") else None

    def signal(self, process: ProcessRef, number: signal.Signals) -> bool:
        if self.process_state(process) is None:
            return False
        os.kill(process.pid, number)
        return True

    def keep_down(self, pod: str, namespace: str) -> None:
        self.down.add(pod)

    def let_up(self, pod: str, namespace: str) -> None:
        if pod in self.down and self.start is not None:
            self.pids[pod] = [self.start()]
        self.down.discard(pod)

    def volume_usage(self, pod: str, namespace: str, volume: str) -> tuple[int, int]:
        files = self._volume(pod, volume).iterdir()
        used = self.used_bytes + sum(each.stat().st_size for each in files)
        return self.volume_bytes, max(0, self.volume_bytes - used)

    def read_file(self, pod: str, namespace: str, volume: str, name: str) -> bytes:
        return self.file(pod, volume, name).read_bytes()

    def write_file(self, pod: str, namespace: str, volume: str, name: str, content: bytes) -> None:
        self.file(pod, volume, name).write_bytes(content)

    def allocate_file(self, pod: str, namespace: str, volume: str, name: str, size_bytes: int) -> None:
        volume_files.allocate(self.file(pod, volume, name), size_bytes)

    def remove_file(self, pod: str, namespace: str, volume: str, name: str) -> None:
        self.file(pod, volume, name).unlink(missing_ok=True)

    def has_file(self, pod: str, namespace: str, volume: str, name: str) -> bool:
        return self.file(pod, volume, name).exists()

    def kept_volume(self, pod: str, namespace: str, volume: str) -> Mapping[str, Any] | None:
        return None

    def pods_with(self, kept: Mapping[str, Any]) -> Sequence[tuple[SmallPod, str]]:
        return ()

    def config_source(self, pod: str, namespace: str, volume: str, name: str) -> Mapping[str, Any]:
        return {"pod": pod, "namespace": namespace, "volume": volume, "name": name}

    def write_config(self, source: Mapping[str, Any], text: str) -> None:
        self.write_file(source["pod"], source["namespace"], source["volume"], source["name"], text.encode())

    def file(self, pod: str, volume: str, name: str) -> Path:
        return self._volume(pod, volume) / name

    look_every_s = 0.02
    reach_s = 0.0

    @property
    def run_dir(self) -> Path:
        return self.root

    @property
    def simulated_gpus(self) -> Path | None:
        return self.gpus

    def _volume(self, pod: str, volume: str) -> Path:
        if volume != "models":
            raise HarnessError(f"pod {pod} has no volume {volume!r}")
        path = self.root / pod
        path.mkdir(exist_ok=True)
        return path


def stat(pid: int) -> tuple[str, float]:
    """The kernel's letter for a process and when it started; ``gone`` when there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return "gone", -1.0
    return fields[0], float(fields[19])
