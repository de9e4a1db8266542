"""What a node that is about to be started says of itself to other processes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from harness.environments.local.containers import volume_path
from harness.environments.local.docker_layout import DockerLayout
from harness.environments.local.plan import NodePlan, PlannedPod
from harness.environments.local.state import NodeState, RunningPod
from harness.environments.receiver import RECEIVER_LABEL
from harness.stack import Stack


def describe_node(
    stack: Stack,
    plan: NodePlan,
    *,
    run_dir: Path,
    address: str,
    password: str,
    gpu: str,
    time_scale: float,
    seed: int,
    versions: Mapping[str, str],
    docker: DockerLayout | None,
) -> NodeState:
    """The state of a node without a process yet. ``address``, ``password``: of its supervisor."""
    pods = [(pod, _describe_pod(pod, docker)) for pod in plan.pods]
    prometheus = [(pod, planned.workload.root) for planned, pod in pods if planned.part == "prometheus"]
    alertmanagers = [(pod, planned.workload.root) for planned, pod in pods if planned.part == "alertmanager"]
    receivers = [pod for _, pod in pods if pod.ports and RECEIVER_LABEL.items() <= pod.labels.items()]
    return NodeState(
        run_dir=str(run_dir),
        stack=stack.absolute_path,
        stack_sha256=stack.sha256,
        time_scale=time_scale,
        seed=seed,
        pid=0,
        pid_started=0.0,
        address=address,
        password=password,
        prometheus=_url(*prometheus[0]),
        prometheus_pod=prometheus[0][0].name,
        alertmanagers=tuple(_url(*alertmanager) for alertmanager in alertmanagers),
        receivers=tuple(_url(pod) for pod in receivers),
        services={
            f"{planned.service.namespace}/{planned.service.name}:{port}": f"{planned.address}:{port}"
            for planned in plan.services
            for port, pairs in planned.ports.items()
            if pairs and not planned.service.headless
        },
        pods=tuple(pod for _, pod in pods),
        gpu=gpu,
        not_exercised=(),
        versions={**versions, **({"docker": docker.docker.version} if docker else {})},
        docker_host=docker.node.host if docker else "",
        docker_key=docker.node.key if docker else "",
    )


def _describe_pod(pod: PlannedPod, docker: DockerLayout | None) -> RunningPod:
    images = [docker.images[each.image] for each in pod.workload.containers] if docker and docker.runs(pod) else []
    return RunningPod(
        namespace=pod.address.namespace,
        name=pod.address.name,
        workload=pod.address.workload,
        address=pod.address.address,
        ports=pod.address.ports,
        programs={container.name: pod.program(container) for container in pod.workload.containers},
        volumes={volume.name: volume_path(pod.address, volume.name) for volume in pod.workload.volumes},
        labels=pod.address.labels,
        completes=pod.workload.restart_policy != "Always",
        images=tuple(image.reference for image in images),
        sub_paths=tuple(
            mount.volume for container in pod.workload.containers for mount in container.mounts if mount.sub_path
        ),
    )


def _url(pod: RunningPod, root: str = "") -> str:
    """Where the first of a pod's ports answers: of what the operator makes, the one of its web interface."""
    return f"http://{pod.address}:{next(iter(pod.ports.values()))}{root}"
