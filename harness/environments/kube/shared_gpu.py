"""A simulated GPU that pods and this machine share: one file in a directory that nodes show."""

from __future__ import annotations

from pathlib import Path

from harness import gpu
from harness.environments.kube.kind_cluster import GPU_DIR, node_root
from harness.environments.kube.kubectl import Kubectl
from harness.errors import HarnessError

GPU_FILE = "devices"


def make_gpu(path: Path, *, time_scale: float) -> None:
    """Simulated devices at this path, new ones, which pods that run as nobody may use as we do."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    gpu.create(path, time_scale=time_scale)
    path.parent.chmod(0o777)
    path.chmod(0o666)


def gpu_of_nodes(admin: Kubectl) -> Path | None:
    """Where this machine can reach the directory that pods share for a simulated GPU; None where it cannot.

    That is so where all pods go to one node, and that node is a kind container of this machine's.
    """
    try:
        workers = workers_of(admin)
    except HarnessError:  # whoever lends namespaces need not show the nodes
        return None
    if len(workers) != 1:
        return None
    root = node_root(workers[0])
    return None if root is None else root / GPU_DIR.strip("/") / GPU_FILE


def workers_of(admin: Kubectl) -> tuple[str, ...]:
    """The nodes pods may go to. Raises HarnessError."""
    found = admin.get("nodes")["items"]
    free = [
        each["metadata"]["name"]
        for each in found
        if not any(taint["key"].startswith("node-role.") for taint in each["spec"].get("taints", []))
    ]
    return tuple(sorted(free)) or tuple(each["metadata"]["name"] for each in found)
