"""What an experiment may name as ``module: harness.chaos``: the faults, how long to hold them, and their undoing.

The functions work on the run at hand: in ``harness certify`` the run itself, under plain ``chaos run`` the environment
that ``harness up`` left (``HARNESS_RUN`` names its directory where there are several).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from harness.clock import parse_duration
from harness.expectations import Duration
from harness.run.current import current_session


def kill_pod(workload: str, namespace: str | None = None) -> str:
    """SIGKILL to the main process of one pod of the workload; which one, the run's seed decides."""
    session = current_session()
    return session.inject("pod-kill", workload=workload, namespace=namespace, seed=session.seed)


def keep_pod_down(workload: str, namespace: str | None = None) -> str:
    """SIGKILL to one pod of the workload, and no restart until it is undone, as when its node is gone."""
    session = current_session()
    return session.inject("pod-down", workload=workload, namespace=namespace, seed=session.seed)


def hang_pod(workload: str, namespace: str | None = None) -> str:
    """SIGSTOP to one pod of the workload: it keeps its connections and answers nothing."""
    session = current_session()
    return session.inject("pod-hang", workload=workload, namespace=namespace, seed=session.seed)


def fill_volume(
    workload: str,
    volume: str,
    percent: Annotated[float, Field(gt=0, le=100)] = 95.0,
    namespace: str | None = None,
) -> str:
    """Fills a volume of each of the workload's pods to this share of its size."""
    return current_session().inject(
        "volume-fill", workload=workload, volume=volume, percent=percent, namespace=namespace
    )


def lose_gpu_cooling(
    gpu: Annotated[int, Field(ge=0)] = 0, celsius: Annotated[float, Field(ge=40, le=120)] = 86.0
) -> str:
    """The device heats up to this temperature and settles 2 °C above; from 90 °C on it lowers its clocks by itself."""
    return current_session().inject("gpu-cooling-lost", gpu=gpu, celsius=celsius)


def take_gpu_memory(
    gpu: Annotated[int, Field(ge=0)] = 0, fraction: Annotated[float, Field(gt=0, le=0.99)] = 0.95
) -> str:
    """Fills the device's memory to this share."""
    return current_session().inject("gpu-memory-taken", gpu=gpu, fraction=fraction)


def throttle_gpu(
    gpu: Annotated[int, Field(ge=0)] = 0,
    clock_mhz: Annotated[int, Field(ge=1, le=1980)] = 90,
    reason: Literal["thermal", "power", "hw_slowdown", "hw_power_brake"] = "hw_slowdown",
) -> str:
    """Holds the device's SM clock down, for this reason."""
    return current_session().inject("gpu-throttle", gpu=gpu, clock_mhz=clock_mhz, reason=reason)


def raise_gpu_xid(gpu: Annotated[int, Field(ge=0)] = 0, code: Annotated[int, Field(gt=0, lt=1000)] = 48) -> str:
    """The driver reports this XID once."""
    return current_session().inject("gpu-xid", gpu=gpu, code=code)


def lose_gpu(gpu: Annotated[int, Field(ge=0)] = 0) -> str:
    """The device falls off the bus."""
    return current_session().inject("gpu-lost", gpu=gpu)


def change_config(workload: str, volume: str, file: str, values: dict[str, Any], namespace: str | None = None) -> str:
    """Changes keys of a YAML file that the workload's pods have mounted from a ConfigMap."""
    return current_session().inject(
        "config-change", workload=workload, volume=volume, file=file, values=values, namespace=namespace
    )


def damage_weights(workload: str, volume: str, file: str, namespace: str | None = None) -> str:
    """Shuffles the numbers in a model's ``.npz`` file on a volume of each pod: it still loads, and answers nonsense."""
    session = current_session()
    return session.inject(
        "weights-damage", workload=workload, volume=volume, file=file, namespace=namespace, seed=session.seed
    )


def stop_kubelet(workload: str, namespace: str | None = None) -> str:
    """Stops the kubelet of the node on which one pod of the workload is: the node falls silent, its pods run on."""
    session = current_session()
    return session.inject("kubelet-stop", workload=workload, namespace=namespace, seed=session.seed)


def evict_pod(workload: str, namespace: str | None = None) -> str:
    """Ends one pod of the workload through the Kubernetes API, as `kubectl delete pod` or an autoscaler does; a new one
    takes its place."""
    session = current_session()
    return session.inject("pod-evict", workload=workload, namespace=namespace, seed=session.seed)


def drain_node(workload: str, namespace: str | None = None) -> str:
    """Cordons the nodes the workload's pods are on and evicts these pods, which then have nowhere to go."""
    return current_session().inject("node-drain", workload=workload, namespace=namespace)


def cut_network(workload: str, to_workload: str, namespace: str | None = None) -> str:
    """Drops every packet between the pods of two workloads."""
    return current_session().inject("network-cut", workload=workload, to_workload=to_workload, namespace=namespace)


def slow_network(
    workload: str,
    to_workload: str,
    delay_ms: Annotated[int, Field(ge=10, le=5_000)] = 100,
    namespace: str | None = None,
) -> str:
    """Delays every packet between the pods of two workloads, each way. What a pod asks of a Service knows only the
    Service's address: there only the answers are late. Less than 10 ms could not be told from a busy machine.
    """
    return current_session().inject(
        "network-slow", workload=workload, to_workload=to_workload, delay_ms=delay_ms, namespace=namespace
    )


def exhaust_memory(workload: str, namespace: str | None = None) -> str:
    """Lets one pod of the workload run out of memory: the kernel's OOM killer ends its main process."""
    session = current_session()
    return session.inject("memory-exhaust", workload=workload, namespace=namespace, seed=session.seed)


def break_image(workload: str, namespace: str | None = None) -> str:
    """Rolls out an image of the workload that cannot be pulled, so that the rollout hangs."""
    return current_session().inject("image-break", workload=workload, namespace=namespace)


def hold(at_least: Duration = "0s", alerts: list[str] | None = None) -> list[str]:
    """Keeps the faults in for at least this long (spec time), and until each of these alerts has been notified, and no
    replica of Alertmanager can make the others forget it, or its bound is over. Without a list: each alert expected,
    and until each heartbeat that is expected to fall silent has been missed. The result names those notified.

    An empty list waits for none: ``{at_least: 3m, alerts: []}`` is a pause.
    """
    return current_session().hold(at_least_s=parse_duration(at_least), alerts=alerts)


def undo_faults() -> list[str]:
    """Undoes every fault that is in, the latest first. Raises HarnessError naming what could not be undone."""
    return current_session().undo()


FAULT_OF: Mapping[str, str] = {
    "kill_pod": "pod-kill",
    "keep_pod_down": "pod-down",
    "hang_pod": "pod-hang",
    "fill_volume": "volume-fill",
    "change_config": "config-change",
    "damage_weights": "weights-damage",
    "lose_gpu_cooling": "gpu-cooling-lost",
    "take_gpu_memory": "gpu-memory-taken",
    "throttle_gpu": "gpu-throttle",
    "raise_gpu_xid": "gpu-xid",
    "lose_gpu": "gpu-lost",
    "stop_kubelet": "kubelet-stop",
    "evict_pod": "pod-evict",
    "drain_node": "node-drain",
    "cut_network": "network-cut",
    "slow_network": "network-slow",
    "exhaust_memory": "memory-exhaust",
    "break_image": "image-break",
}

ACTIVITIES: Mapping[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        kill_pod,
        keep_pod_down,
        hang_pod,
        fill_volume,
        change_config,
        damage_weights,
        lose_gpu_cooling,
        take_gpu_memory,
        throttle_gpu,
        raise_gpu_xid,
        lose_gpu,
        stop_kubelet,
        evict_pod,
        drain_node,
        cut_network,
        slow_network,
        exhaust_memory,
        break_image,
        hold,
        undo_faults,
    )
}
