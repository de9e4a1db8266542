"""Which pods are ready, as a kubelet finds out."""

from __future__ import annotations

import socket
import warnings
from collections.abc import Sequence

import requests
from urllib3.exceptions import InsecureRequestWarning

from harness.direct import direct_session
from harness.environments.local.plan import PlannedPod
from harness.environments.local.supervisor import ProgramState
from harness.stack.objects import Container, HttpProbe

# Of a connection that no probe sets a time for, and the least that a probe gets.
_TIMEOUT_S = 0.5


def why_unready(pod: PlannedPod, states: Sequence[ProgramState]) -> str | None:
    """What keeps a pod from being ready; None when it is.

    A container is ready when its readiness probe succeeds; without a probe of HTTP or TCP, when it accepts connections
    on its first TCP port; without such a port, when it runs or, in a Job, has completed. A probe's timeout is real
    time, since it bounds real work.
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
    if probe is not None and probe.path is not None:
        return _get(probe, probe.path, address)
    port = probe.port if probe is not None else next(iter(container.tcp_ports), None)
    if port is None:
        return None
    try:
        socket.create_connection((address, port), timeout=_timeout_s(probe)).close()
    except OSError as error:
        return f"port {port}: {error}"
    return None


def _get(probe: HttpProbe, path: str, address: str) -> str | None:
    url = f"{probe.scheme.lower()}://{address}:{probe.port}/{path.removeprefix('/')}"
    try:
        with direct_session() as session, warnings.catch_warnings():
            warnings.simplefilter("ignore", InsecureRequestWarning)  # a kubelet verifies no certificate either
            answer = session.get(url, headers=probe.headers, timeout=_timeout_s(probe), verify=False)
    except requests.RequestException as error:
        return f"GET {url}: {type(error).__name__}"
    return None if answer.status_code < 400 else f"GET {url}: {answer.status_code}"


def _timeout_s(probe: HttpProbe | None) -> float:
    return _TIMEOUT_S if probe is None else max(_TIMEOUT_S, probe.timeout_s)
