"""The notification receiver an environment brings when the stack has none of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from harness.stack.objects import Container, HttpProbe, Stack, Workload

# A pod with this label keeps notifications and answers ``/notifications``.
RECEIVER_LABEL = {"app.kubernetes.io/component": "notification-receiver"}
_PORT = 8080


def with_receiver(stack: Stack, namespace: str = "harness") -> Stack:
    """The stack, with a receiver in this namespace unless one of its own workloads is one."""
    if any(RECEIVER_LABEL.items() <= workload.labels.items() for workload in stack.workloads):
        return stack
    container = Container(
        name="receiver",
        image="model-serving/workloads",
        command=("python", "-m", "harness.system.workloads.receiver"),
        args=("--host", "$(POD_IP)", "--port", str(_PORT)),
        env=(),
        ports={"http": _PORT},
        mounts=(),
        readiness=HttpProbe(path="/healthz", port=_PORT, period_s=10, timeout_s=1, failure_threshold=3),
        liveness=None,
        limits={},
    )
    workload = Workload(
        namespace=namespace,
        name="notification-receiver",
        kind="Deployment",
        replicas=1,
        labels=RECEIVER_LABEL,
        annotations={},
        containers=(container,),
        init_containers=(),
        volumes=(),
        restart_policy="Always",
        service_account="default",
        operated=False,
        where=str(Path(__file__).name),
    )
    return replace(stack, workloads=(*stack.workloads, workload))
