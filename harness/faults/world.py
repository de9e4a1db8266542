"""What a fault needs of an environment; each environment offers it in its own way."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from harness.model import ProcessRef


class Pod(Protocol):
    """A pod by name."""

    @property
    def name(self) -> str: ...

    @property
    def namespace(self) -> str: ...


class World(Protocol):
    """The operations faults are made of, and the independent sources their effects are read back from."""

    def pods(self, workload: str, namespace: str | None = None) -> Sequence[Pod]:
        """The pods of a workload, or the one pod of this name; empty when there is none."""

    def removable(self, workload: str, namespace: str | None = None) -> Sequence[Pod]:
        """Those of a workload's pods that can be kept down here."""

    def processes(self, pod: str, namespace: str) -> Sequence[ProcessRef]:
        """A pod's processes, the main one first; empty while it does not run."""

    def process_state(self, process: ProcessRef) -> str | None:
        """The kernel's letter for what a process does (``T``: stopped); None when it is gone."""

    def signal(self, process: ProcessRef, number: signal.Signals) -> bool:
        """Whether the signal reached that very process."""

    def keep_down(self, pod: str, namespace: str) -> None:
        """From here on the pod is not started again when it ends. Returns at once; calling it again does nothing."""

    def let_up(self, pod: str, namespace: str) -> None:
        """The pod is started again, if it is down. Calling it again does nothing."""

    def volume_usage(self, pod: str, namespace: str, volume: str) -> tuple[int, int]:
        """(size, available) in bytes. This and what follows raises PodGone when the pod is not there any more."""

    def read_file(self, pod: str, namespace: str, volume: str, name: str) -> bytes:
        """The content of a file in a pod's volume, or as the pod has it from a ConfigMap or Secret."""

    def write_file(self, pod: str, namespace: str, volume: str, name: str, content: bytes) -> None:
        """A file in a pod's volume holds this content from here on; readers see the old file or the new one, whole."""

    def allocate_file(self, pod: str, namespace: str, volume: str, name: str, size_bytes: int) -> None:
        """A file in a pod's volume takes this much space, or all there is where that is less."""

    def remove_file(self, pod: str, namespace: str, volume: str, name: str) -> None:
        """There is no such file in a pod's volume. Removing it again does nothing."""

    def has_file(self, pod: str, namespace: str, volume: str, name: str) -> bool:
        """Whether there is such a file in a pod's volume."""

    def write_config(self, pod: str, namespace: str, volume: str, name: str, text: str) -> None:
        """A file that a pod has from a ConfigMap holds this text soon; ``read_file`` shows when the pod has it.

        An environment may know a ConfigMap of all the workload's pods only: then they all get it.
        """

    @property
    def look_every_s(self) -> float:
        """How often it may be looked whether a fault shows, in real seconds: what a look costs differs."""

    @property
    def run_dir(self) -> Path:
        """The run's own directory, for what undoing needs beside the ledger."""

    @property
    def simulated_gpus(self) -> Path | None:
        """The simulated devices' state file; None where the devices are real."""
