"""A cluster of kind's: made for one run, or kept between runs."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from harness.environments.kube.entry import entry_address, port_mapping
from harness.environments.kube.kind_cluster import GPU_DIR, KindCluster, kind_version, require_tools
from harness.environments.kube.kubectl import Kubectl
from harness.environments.kube.shared_gpu import GPU_FILE, workers_of
from harness.environments.kube.source import ClusterChoice, Progress, Watch
from harness.environments.kube.state import run_label
from harness.environments.kube.vocabulary import MANAGED, NAMESPACE
from harness.errors import HarnessError

CLUSTER_CONFIG = Path(__file__).resolve().parents[3] / "fixtures" / "kind" / "cluster.yaml"


class KindSource:
    """A kind cluster of the run's own, or the kept one."""

    environment = "kind"
    own_namespace = NAMESPACE
    lent = False

    def __init__(self, choice: ClusterChoice, run_dir: Path) -> None:
        """Raises HarnessError when a program that kind needs is missing."""
        require_tools()
        self.keep = choice.keep
        self.cluster = choice.name if choice.keep else _cluster_name(run_dir)
        self.kubeconfig = run_dir / "cluster.kubeconfig"
        self.context = f"kind-{self.cluster}"
        self.gpu_file: Path | None = (_kept_directory(choice.name) if choice.keep else run_dir / "gpu") / GPU_FILE
        self._node_image = choice.node_image
        self._run_dir = run_dir
        self._kind = KindCluster(self.cluster, self.kubeconfig)

    def plan(self) -> list[str]:
        """What would be made or used."""
        nodes = ", ".join(str(node["role"]) for node in _config()["nodes"])
        how = "use, or make and keep," if self.keep else "make, and delete at the end,"
        return [f"{how} the kind cluster {self.cluster} ({nodes}; node image {self._node_image or 'of kind'})"]

    def open(self, namespaces: Sequence[str], *, images: Sequence[str], progress: Progress, watch: Watch) -> Kubectl:
        """The cluster, made unless it is there."""
        assert self.gpu_file is not None
        if self.keep and self._kind.exists():
            progress(f"using the kept cluster {self.cluster}")
            self._kind.write_kubeconfig()
            self._require_unused()
        else:
            self.gpu_file.parent.mkdir(parents=True, exist_ok=True)
            config = _config()
            mount = {"hostPath": str(self.gpu_file.parent), "containerPath": GPU_DIR}
            for node in config["nodes"]:
                node["extraMounts"] = [*node.get("extraMounts", []), mount]
            first = config["nodes"][0]
            first["extraPortMappings"] = [*first.get("extraPortMappings", []), port_mapping()]
            self._kind.create(
                config, self._run_dir, image=self._node_image, pod_images=images, progress=progress, watch=watch
            )
        self._kind.put_pods_first()
        self._kind.keep_service_packets()
        return self._kind.kubectl

    def _require_unused(self) -> None:
        """Raises HarnessError when another run has its stack in the kept cluster, or was killed with it there."""
        found = self._kind.kubectl.get("namespaces", "-l", MANAGED)["items"]
        if found:
            runs = sorted({each["metadata"]["labels"][MANAGED] for each in found})
            raise HarnessError(
                f"the kept cluster {self.cluster} holds the stack of run {', '.join(runs)}: wait until that is over; "
                "if it was killed, `harness down` with its directory, or `harness down --kept` for the whole cluster"
            )

    def give(self, images: Sequence[str], *, everywhere: bool, progress: Progress) -> None:
        """Loads them into the nodes."""
        nodes = self._kind.nodes() if everywhere else workers_of(self._kind.kubectl)
        self._kind.load(images, nodes=nodes)
        progress(f"{len(images)} images are on {', '.join(nodes)}")

    def entry(self) -> str:
        """The port that the first node has on this machine."""
        return entry_address(f"{self.cluster}-control-plane")

    def versions(self) -> dict[str, str]:
        """kind's own."""
        return {"kind": kind_version()}


def delete_kept(name: str) -> bool:
    """Whether there was a kept cluster of this name; now there is none. Raises HarnessError."""
    with tempfile.TemporaryDirectory(prefix="harness-kept-") as directory:
        cluster = KindCluster(name, Path(directory) / "kubeconfig")
        found = cluster.exists()
        cluster.delete()
    shutil.rmtree(_kept_directory(name), ignore_errors=True)
    return found


def _cluster_name(run_dir: Path) -> str:
    """One of the run's own: two runs whose directories are called alike have two clusters."""
    label = re.sub(r"[^a-z0-9-]", "-", run_label(run_dir.name).lower())[:24].strip("-")
    return f"harness-{label}-{hashlib.sha256(str(run_dir).encode()).hexdigest()[:6]}"


def _kept_directory(name: str) -> Path:
    """A kept cluster outlives every run, and so does the directory its nodes show."""
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return state / "harness" / name


def _config() -> dict[str, Any]:
    try:
        loaded: dict[str, Any] = yaml.safe_load(CLUSTER_CONFIG.read_text(encoding="utf-8"))
    except OSError as error:
        raise HarnessError(f"{CLUSTER_CONFIG}: {error.strerror}; the kind environment needs a checkout") from error
    return loaded
