"""A port of this machine behind which a kind cluster has the inference Service: for load from outside the cluster."""

from __future__ import annotations

import re
import subprocess
from typing import Any

from harness.errors import HarnessError
from harness.stack import Service, Stack

# Of the range that Kubernetes keeps for the ports of nodes.
NODE_PORT = 30080
_HOST = "127.0.0.1"
_NAME = "harness-entry"
_TIMEOUT_S = 30.0


def port_mapping() -> dict[str, Any]:
    """What a node's entry in kind's configuration needs: some free port of this machine leads to the node's."""
    return {"containerPort": NODE_PORT, "hostPort": 0, "listenAddress": _HOST, "protocol": "TCP"}


def entry_service(stack: Stack, target: str) -> dict[str, Any]:
    """A Service of its own on the pods of ``namespace/service:port``, at the node's port.

    Without the labels by which monitors select, so that nothing is scraped twice. Raises HarnessError for a target that
    the stack does not have.
    """
    service, port = _find(stack, target)
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": _NAME, "namespace": service.namespace},
        "spec": {
            "type": "NodePort",
            "selector": dict(service.selector),
            "ports": [{"name": "load", "port": port.port, "targetPort": port.target, "nodePort": NODE_PORT}],
        },
    }


def entry_address(node: str) -> str:
    """``host:port`` on this machine that leads to a node's port. Raises HarnessError where none does."""
    command = ["docker", "port", node, f"{NODE_PORT}/tcp"]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
            start_new_session=True,  # a terminal's Ctrl-C is the harness's to answer
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HarnessError(f"{' '.join(command)}: {error}") from error
    found = re.search(rf"^{re.escape(_HOST)}:\d+$", done.stdout, re.MULTILINE)
    if found is None:
        said = done.stderr.strip() or done.stdout.strip() or "docker names none"
        raise HarnessError(
            f"no port of this machine leads into {node}: {said}; "
            "a kept cluster of an earlier version has none: `harness down --kept`"
        )
    return found.group()


def _find(stack: Stack, target: str) -> tuple[Service, Any]:
    for service in stack.services:
        for port in service.ports:
            if service.target(port) == target:
                return service, port
    raise HarnessError(f"load: the stack has no Service {target}")
