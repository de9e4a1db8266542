"""The Kubernetes objects of a load whose workers are pods: a master, its Service, and the workers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from harness.errors import HarnessError
from harness.load.locust_run import LoadPlan, plan_options
from harness.load.target import ALLOW_VARIABLE

MASTER = "load-master"
# Where fixtures/images/workloads/Dockerfile puts it; the plan's own path is one of this machine.
IMAGE_LOCUSTFILE = "/opt/harness/loadtests/inference.py"
_COMPONENT = "app.kubernetes.io/component"
# Locust's own default.
_PORT = 5557
# Images may have to be pulled. A worker waits for its master 300 s, which is locust's constant.
_WORKERS_WAIT_S = 300
# Beyond the plan: all waiting, the common begin, the last answers. Then the kubelet ends a pod that locust did not.
_DEADLINE_EXTRA_S = _WORKERS_WAIT_S + 60
# The last answers get 1 s, locust's own end takes another.
_GRACE_S = 5
# nobody
_USER_ID = 65534


def worker_names(workers: int) -> tuple[str, ...]:
    """The pods that send; each writes its windows to its log, and nothing else but errors."""
    return tuple(f"load-worker-{number}" for number in range(workers))


def load_objects(
    plan: LoadPlan, *, namespace: str, image: str, workers: int, labels: Mapping[str, str], allow_host: str
) -> list[dict[str, Any]]:
    """The Service and the pods, to be created in this order; the load begins once all workers have found the master.

    A pod is never restarted: a worker that came again would have no share, and its load would not be the plan's.
    ``allow_host``: the one host that may be loaded, as in the plan's URL.
    Raises HarnessError when that is another, or without a worker.
    """
    host = urlsplit(plan.base_url).hostname
    if host != allow_host.lower():
        raise HarnessError(f"load: {plan.base_url} is to be loaded, but {allow_host!r} is the host that may be")
    if workers < 1:
        raise HarnessError(f"load: got {workers} workers, need one at least")
    pods = [
        _pod(MASTER, MASTER, _master_command(plan, workers)),
        *(_pod(name, "load-worker", _worker_command()) for name in worker_names(workers)),
    ]
    for pod in pods:
        pod["metadata"] |= {"namespace": namespace, "labels": {**labels, **pod["metadata"]["labels"]}}
        pod["spec"]["activeDeadlineSeconds"] = math.ceil(plan.duration_s) + _DEADLINE_EXTRA_S
        pod["spec"]["containers"][0] |= {"image": image, "env": [{"name": ALLOW_VARIABLE, "value": allow_host}]}
    return [_service(namespace, labels), *pods]


def _master_command(plan: LoadPlan, workers: int) -> list[str]:
    own = [
        "--master",
        f"--master-bind-port={_PORT}",
        f"--expect-workers={workers}",
        f"--expect-workers-max-wait={_WORKERS_WAIT_S}",
    ]
    return ["locust", "-f", IMAGE_LOCUSTFILE, *own, *plan_options(plan)]


def _worker_command() -> list[str]:
    """Standard error is in a pod's log too, hence errors only: each is a line that is no window, and so a gap."""
    own = [
        "--worker",
        f"--master-host={MASTER}",
        f"--master-port={_PORT}",
        "--window-file=-",
        "--loglevel=ERROR",
        "--exit-code-on-error=0",
    ]
    return ["locust", "-f", IMAGE_LOCUSTFILE, *own]


def _service(namespace: str, labels: Mapping[str, str]) -> dict[str, Any]:
    """With an address of its own, so that the name is known before the master's pod has one."""
    chosen = {**labels, _COMPONENT: MASTER}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": MASTER, "namespace": namespace, "labels": chosen},
        "spec": {"selector": chosen, "ports": [{"name": "locust", "port": _PORT, "targetPort": _PORT}]},
    }


def _pod(name: str, component: str, command: list[str]) -> dict[str, Any]:
    container = {
        "name": "locust",
        "imagePullPolicy": "IfNotPresent",
        "command": command,
        # No limit of CPU: a worker held back would begin requests late.
        "resources": {"requests": {"cpu": "50m", "memory": "96Mi"}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {_COMPONENT: component}},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": _GRACE_S,
            "automountServiceAccountToken": False,
            # Variables made of the names of Services may be taken by locust for its own.
            "enableServiceLinks": False,
            "securityContext": {"runAsNonRoot": True, "runAsUser": _USER_ID, "runAsGroup": _USER_ID},
            "containers": [container],
        },
    }
