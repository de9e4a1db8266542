"""Every fault the harness can inject: how it is planned, put in, seen, taken out and seen gone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from harness.faults import disk, files, gpu, memory, network, node, pod, rollout
from harness.faults.world import World

# All that is needed to inject, see and undo one fault, as JSON: it is on disk before the fault is in.
Record = Mapping[str, Any]
Look = Callable[[World, Record], str | None]


@dataclass(frozen=True, slots=True)
class FaultKind:
    """One kind of fault.

    ``plan`` looks at the world and touches nothing. ``effect`` and ``cleared`` read a source other than the stack under
    test and describe what they saw; None while it is not so. ``undo`` may be called twice, and after a fault that was
    never put in; None where there is nothing to undo. ``takes_s``: how long, in spec time, effect and clearing may take
    by their nature, beyond what any fault gets. ``needs_cluster``: processes of one machine cannot have it.
    """

    name: str
    plan: Callable[..., Record]
    inject: Callable[[World, Record], None]
    effect: Look
    undo: Callable[[World, Record], None] | None
    cleared: Look | None
    source: str
    needs: str
    takes_s: float = 0.0
    needs_cluster: bool = False


_DEVICE = "the device itself"
SIMULATED = "a simulated GPU"
_API = "the Kubernetes API"
_KIND_NODE = "a node made by kind"

_OF_CLUSTERS = (
    FaultKind(
        "kubelet-stop",
        node.plan_stop,
        node.stop_kubelet,
        node.silent,
        node.start_kubelet,
        node.ready,
        _API,
        _KIND_NODE,
    ),
    FaultKind("pod-evict", node.plan_evict, node.evict, node.evicted, None, None, _API, "a pod that somebody owns"),
    FaultKind(
        "node-drain",
        node.plan_drain,
        node.drain,
        node.drained,
        node.uncordon,
        node.undrained,
        _API,
        "a cluster of one's own",
    ),
    FaultKind(
        "network-cut",
        network.plan_cut,
        network.cut,
        network.is_cut,
        network.join,
        network.joined,
        "a TCP connection from the pod's own network",
        _KIND_NODE,
    ),
    FaultKind(
        "network-slow",
        network.plan_delay,
        network.delay,
        network.delayed,
        network.hasten,
        network.hastened,
        "a TCP connection from the pod's own network",
        f"{_KIND_NODE} whose kernel queues packets",
    ),
    FaultKind("memory-exhaust", memory.plan, memory.exhaust, memory.exhausted, None, None, _API, _KIND_NODE),
    FaultKind(
        "image-break",
        rollout.plan,
        rollout.break_image,
        rollout.unpullable,
        rollout.restore_image,
        rollout.rolled_out,
        _API,
        "a Deployment or StatefulSet",
    ),
)

FAULTS: Mapping[str, FaultKind] = {
    kind.name: kind
    for kind in (
        FaultKind("pod-kill", pod.plan_kill, pod.kill, pod.killed, None, None, "the kernel's process table", "a pod"),
        FaultKind(
            "pod-down",
            pod.plan_down,
            pod.take_down,
            pod.is_down,
            pod.bring_up,
            pod.is_up,
            "the kernel's process table",
            "a pod",
        ),
        FaultKind(
            "pod-hang",
            pod.plan_hang,
            pod.hang,
            pod.hanging,
            pod.resume,
            pod.resumed,
            "the kernel's process table",
            "a pod",
        ),
        FaultKind(
            "volume-fill",
            disk.plan_fill,
            disk.fill,
            disk.filled,
            disk.free,
            disk.freed,
            "statvfs",
            "a size-limited volume",
        ),
        FaultKind(
            "config-change",
            files.plan_config,
            files.change_config,
            files.config_changed,
            files.restore_config,
            files.config_restored,
            "the file as the pod has it",
            "a YAML file from a ConfigMap",
        ),
        FaultKind(
            "weights-damage",
            files.plan_damage,
            files.damage,
            files.damaged,
            files.restore_weights,
            files.weights_restored,
            "the file's checksum",
            "weights in NumPy's .npz form on a volume",
        ),
        FaultKind(
            "gpu-cooling-lost",
            gpu.plan,
            gpu.lose_cooling,
            gpu.hot,
            gpu.restore_cooling,
            gpu.cool,
            _DEVICE,
            SIMULATED,
            takes_s=180.0,  # a mass of metal warms up and cools down
        ),
        FaultKind(
            "gpu-memory-taken",
            gpu.plan,
            gpu.take_memory,
            gpu.memory_taken,
            gpu.release_memory,
            gpu.memory_released,
            _DEVICE,
            SIMULATED,
        ),
        FaultKind(
            "gpu-throttle",
            gpu.plan,
            gpu.throttle,
            gpu.throttled,
            gpu.unthrottle,
            gpu.unthrottled,
            _DEVICE,
            SIMULATED,
        ),
        FaultKind("gpu-xid", gpu.plan, gpu.raise_xid, gpu.xid_raised, None, None, _DEVICE, SIMULATED),
        FaultKind("gpu-lost", gpu.plan, gpu.lose, gpu.lost, gpu.restore, gpu.restored, _DEVICE, SIMULATED),
        *(replace(kind, needs_cluster=True) for kind in _OF_CLUSTERS),
    )
}
