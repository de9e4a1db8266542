"""Whether the addresses a plan needs are free: a foreign server must not be taken for a pod."""

from __future__ import annotations

import errno
import socket

from harness.environments.local.plan import NodePlan
from harness.environments.local.supervisor import PORT
from harness.errors import HarnessError


def require_free_ports(plan: NodePlan, node: str | None = None) -> None:
    """Raises HarnessError naming every port that something on this machine already listens on.

    A server that listens on all addresses has a port on each pod's address too, and would answer in the pod's place.
    """
    wanted = {(pod.address.address, port) for pod in plan.pods for c in pod.workload.containers for port in c.tcp_ports}
    wanted |= {
        (service.address, port) for service in plan.services if not service.service.headless for port in service.ports
    }
    wanted |= {(node, PORT)} if node else set()
    taken = sorted({port for address, port in wanted if _is_taken(address, port)})
    if taken:
        named = ", ".join(map(str, taken))
        raise HarnessError(
            f"something on this machine already listens on port {named} of all addresses, where pods of the stack have"
            " to listen. If these are a distribution's own services: systemctl disable --now prometheus"
            " prometheus-alertmanager prometheus-node-exporter"
        )


def _is_taken(address: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            # Any other refusal (a privileged port, say) is for the pod itself to meet.
            return error.errno == errno.EADDRINUSE
    return False
