"""Which pods are ready, as a kubelet finds out."""

from __future__ import annotations

import socket
from collections.abc import Sequence

import requests

from harness.direct import direct_session
from harness.environments.local.plan import PlannedPod
from harness.environments.local.supervisor import ProgramState
from harness.stack.objects import Container

_TIMEOUT_S = 0.5


def why_unready(pod: PlannedPod, states: Sequence[ProgramState]) -> str | None:
    """What keeps a pod from being ready; None when it is.

    A container is ready when its readiness probe succeeds; without a probe, when it accepts connections on its
    first port; without ports, when it runs or, in a Job, has completed.
    """
    by_name = {state.name: state for state in states}
    for container in pod.workload.containers:
        state = by_name.get(pod.program(container))
        if state is None or state.state not in ("RUNNING", "STARTING"):
            completed = state is not None and state.state == "EXITED" and state.exit_code == 0
            if completed and pod.workload.restart_policy != "Always":
                continue
            return f"container {container.name}: {state.state.lower() if state else 'unknown'}"
        problem = _probe(container, pod.address.address)
        if problem is not None:
            return f"container {container.name}: {problem}"
    return None


def _probe(container: Container, address: str) -> str | None:
    probe = container.readiness
    port = probe.port if probe is not None else next(iter(container.ports.values()), None)
    if port is None:
        return None
    if probe is None or probe.path is None:
        try:
            socket.create_connection((address, port), timeout=_TIMEOUT_S).close()
        except OSError as error:
            return f"port {port}: {error}"
        return None
    url = f"http://{address}:{port}{probe.path}"
    try:
        with direct_session() as session:
            answer = session.get(url, timeout=_TIMEOUT_S)
    except requests.RequestException as error:
        return f"GET {url}: {type(error).__name__}"
    return None if answer.status_code < 400 else f"GET {url}: {answer.status_code}"
