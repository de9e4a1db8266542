"""What a fault needs of an environment; each environment offers it in its own way."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from harness.errors import HarnessError
from harness.model import ProcessRef


class Pod(Protocol):
    """A pod by name."""

    @property
    def name(self) -> str: ...

    @property
    def namespace(self) -> str: ...

    @property
    def workload(self) -> str: ...


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
        """(size, available) in bytes. What is asked of a pod by its name from here on raises PodGone
        when it is not there any more."""

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

    def kept_volume(self, pod: str, namespace: str, volume: str) -> Mapping[str, Any] | None:
        """What tells a pod's volume from all others once the pod is gone, as JSON; None for one that ends with it."""

    def pods_with(self, kept: Mapping[str, Any]) -> Sequence[tuple[Pod, str]]:
        """The pods that have this volume now, and what each calls it; those that can be reached through, if any."""

    def config_source(self, pod: str, namespace: str, volume: str, name: str) -> Mapping[str, Any]:
        """Where a file that a pod has from a ConfigMap comes from, as JSON; it is there when the pod is gone.

        Raises HarnessError where there is no such source, or the file would not follow it.
        """

    def write_config(self, source: Mapping[str, Any], text: str) -> None:
        """A file from a ConfigMap holds this text soon; ``read_file`` shows when a pod has it.

        An environment may know a ConfigMap of many pods only: then they all get it.
        """

    @property
    def look_every_s(self) -> float:
        """How often it may be looked whether a fault shows, in real seconds: what a look costs differs."""

    @property
    def reach_s(self) -> float:
        """How long it may take, in real seconds, until the pod that takes another's place can be reached through."""

    @property
    def run_dir(self) -> Path:
        """The run's own directory, for what undoing needs beside the ledger."""

    @property
    def simulated_gpus(self) -> Path | None:
        """The simulated devices' state file; None where the devices are real."""


class ClusterWorld(Protocol):
    """What faults need that only a cluster has. Sources of what is read: the Kubernetes API, and the kernel of a node.

    What acts on a node raises HarnessError where nodes cannot be reached, and PodGone when the pod is not there.
    """

    def node_of(self, pod: str, namespace: str) -> str:
        """The node a pod is on."""

    def node_status(self, node: str) -> str:
        """Whether a node is ready, as the API has it: ``True``, ``False``, or ``Unknown`` once it is silent."""

    def stop_kubelet(self, node: str) -> None:
        """The kubelet of a node ends; what it has started runs on. Doing it again does nothing."""

    def start_kubelet(self, node: str) -> None:
        """The kubelet of a node is started, and answers where that takes no longer than usual."""

    def set_schedulable(self, node: str, schedulable: bool) -> None:
        """Whether new pods may go to a node."""

    def is_schedulable(self, node: str) -> bool:
        """Whether new pods may go to a node."""

    def evict(self, pod: str, namespace: str) -> None:
        """The pod ends in good order, wherever its successor goes. One that is gone needs none."""

    def uid_of(self, pod: str, namespace: str) -> str | None:
        """What tells a pod from a later one of its name; None once it is gone or about to end."""

    def pending(self, workload: str, namespace: str) -> Sequence[str]:
        """The workload's pods that no node has."""

    def still_running(self, pods: Sequence[str], namespace: str) -> Sequence[str]:
        """Those of the pods of which a container runs, be they about to end or not."""

    def ready_pods(self, workload: str, namespace: str) -> Sequence[str]:
        """The workload's pods that are ready."""

    def address(self, pod: str, namespace: str) -> tuple[str, int]:
        """A pod's own address, and the first port that it declares."""

    def drop_packets(self, parted: Sequence[tuple[str, str, str]], *, mark: str) -> None:
        """For each pod, namespace and address: packets between the two are dropped, both ways, by rules that bear the
        mark. All at one time, as near as may be."""

    def accept_packets(self, pods: Sequence[tuple[str, str]], *, mark: str) -> None:
        """None of the pods that are still there has a rule with the mark. All at one time, as near as may be."""

    def counted_packets(self, pod: str, namespace: str, *, mark: str) -> int | None:
        """How many packets the rules with the mark have met; None without such a rule."""

    def connect_s(self, pod: str, namespace: str, *, address: str, port: int, within_s: float) -> float | None:
        """How long a TCP connection from the pod's own network to the address takes, in seconds; None where none is
        made within the time."""

    def require_delays(self, node: str) -> None:
        """Raises HarnessError where a node cannot delay packets of its pods; no network of theirs is touched."""

    def delay_packets(self, parted: Sequence[tuple[str, str, str]], *, mark: str, delay_ms: int) -> None:
        """For each pod, namespace and address: what the pod sends there leaves this much later, by rules that bear the
        mark."""

    def hasten_packets(self, ends: Sequence[tuple[str, str]], *, mark: str) -> None:
        """For each node and pod's uid: nothing is left of rules with the mark, nor of what delays packets for them. A
        pod may be gone."""

    def exhaust_memory(self, pod: str, namespace: str, *, process: ProcessRef) -> None:
        """The memory of the process's container runs out, and of what is in it the kernel kills that process first.

        Nothing of what was done for that is left when this returns.
        """

    def last_end(self, pod: str, namespace: str) -> tuple[str, str]:
        """The id and the reason of the container that ended last in the pod; empty where none has."""

    def image(self, workload: str, namespace: str | None) -> Mapping[str, Any]:
        """kind, namespace and name of a Deployment or StatefulSet, and its first container's image and pull policy.

        Raises HarnessError for a workload that is neither.
        """

    def set_image(self, kind: str, name: str, namespace: str, *, image: str, policy: str) -> None:
        """The workload's first container has this image and pull policy from here on."""

    def replace_stuck(self, stateful_set: str, namespace: str) -> None:
        """The StatefulSet's pods of a former template that are not ready end, and no other such pod comes.

        Raises HarnessError when its controller does not take up the present template.
        """

    def rollout(self, kind: str, name: str, namespace: str) -> str | None:
        """What is missing until the workload's pods all are of its present template and ready; None: nothing."""

    def waiting(self, workload: str, namespace: str) -> Mapping[str, str]:
        """Pod → the reason why a container of it waits, for the workload's pods that have one."""


@runtime_checkable
class InCluster(Protocol):
    """An environment that is a cluster."""

    @property
    def cluster(self) -> ClusterWorld: ...


def cluster_of(world: World) -> ClusterWorld:
    """The cluster behind a world. Raises HarnessError where there is none."""
    if isinstance(world, InCluster):
        return world.cluster
    raise HarnessError("needs a cluster: here pods are processes of one machine; run it with --environment kind")
