"""Where the cluster comes from: one of kind's made for the run or kept between runs, or one that exists already."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import yaml

from harness import gpu
from harness.environments.kube.kind_cluster import GPU_DIR, KindCluster, kind_version, node_root, require_tools
from harness.environments.kube.kubectl import Kubectl
from harness.environments.kube.state import run_label
from harness.environments.kube.vocabulary import ALLOWED, MANAGED, NAMESPACE
from harness.errors import HarnessError, InputError, Mistake

CLUSTER_CONFIG = Path(__file__).resolve().parents[3] / "fixtures" / "kind" / "cluster.yaml"
GPU_FILE = "devices"

Progress = Callable[[str], None]
Watch = Callable[[], None]


@dataclass(frozen=True, slots=True)
class ClusterChoice:
    """What was asked of a cluster.

    ``node_image``: of kind's nodes, None for kind's own; ``keep``: whether the kind cluster, called ``name``, outlives
    the run, to be used by the next one that keeps it. ``context`` and ``namespaces``: of a cluster
    that exists.
    """

    node_image: str | None = None
    keep: bool = False
    name: str = ""
    context: str | None = None
    namespaces: tuple[str, ...] = ()


class Source(Protocol):
    """A cluster to be had. ``cluster``: the kind cluster's name, empty for one that is not the harness's own."""

    environment: str
    cluster: str
    keep: bool
    kubeconfig: Path
    context: str
    gpu_file: Path | None
    own_namespace: str
    lent: bool  # somebody else's: nothing outside its namespaces may be touched

    def plan(self) -> list[str]:
        """What would be made or used, a line each; nothing is touched."""

    def open(self, namespaces: Sequence[str], *, progress: Progress, watch: Watch) -> Kubectl:
        """The cluster as somebody who may install. Raises HarnessError, InputError when it may not be used."""

    def give(self, images: Sequence[str], *, progress: Progress) -> None:
        """The cluster's nodes have these images of this machine's. Raises HarnessError."""

    def versions(self) -> dict[str, str]:
        """What the cluster is made with."""


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

    def open(self, namespaces: Sequence[str], *, progress: Progress, watch: Watch) -> Kubectl:
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
            self._kind.create(config, self._run_dir, image=self._node_image, progress=progress, watch=watch)
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

    def give(self, images: Sequence[str], *, progress: Progress) -> None:
        """Loads them into the nodes that take pods."""
        workers = workers_of(self._kind.kubectl)
        self._kind.load(images, nodes=workers)
        progress(f"{len(images)} images are on {', '.join(workers)}")

    def versions(self) -> dict[str, str]:
        """kind's own."""
        return {"kind": kind_version()}


class ContextSource:
    """A cluster that exists, by a context of the user's kubeconfig; only the namespaces it was lent are touched."""

    environment = "kube"
    cluster = ""
    keep = True
    lent = True

    def __init__(self, choice: ClusterChoice, run_dir: Path) -> None:
        """Raises InputError without a context or namespaces."""
        require_lent(choice)
        self.context = str(choice.context)
        self.kubeconfig = run_dir / "cluster.kubeconfig"
        self.gpu_file: Path | None = None
        self.own_namespace = choice.namespaces[0]
        self._namespaces = choice.namespaces

    def plan(self) -> list[str]:
        """What would be used."""
        return [f"use the cluster of context {self.context}, in the namespaces {', '.join(self._namespaces)} only"]

    def open(self, namespaces: Sequence[str], *, progress: Progress, watch: Watch) -> Kubectl:
        """The cluster, once every namespace is seen to be lent."""
        admin = self._copy_kubeconfig()
        self._require_lent(admin, namespaces)
        self.gpu_file = _gpu_of_nodes(admin)
        progress(f"using the cluster of context {self.context}")
        return admin

    def give(self, images: Sequence[str], *, progress: Progress) -> None:
        """Nothing can be given: nodes pull what they run, or have it."""
        if images:
            progress(f"{len(images)} images have to be on the cluster's nodes already: {', '.join(images)}")

    def versions(self) -> dict[str, str]:
        """Nothing beyond what runs there."""
        return {}

    def _copy_kubeconfig(self) -> Kubectl:
        """The context alone, in a file of the run's: what the user's own file says later changes nothing here."""
        own = Path(os.environ.get("KUBECONFIG", "").partition(os.pathsep)[0] or Path.home() / ".kube" / "config")
        view = Kubectl(own, self.context).run("config", "view", "--minify", "--flatten", "-o", "yaml")
        self.kubeconfig.touch(mode=0o600)
        self.kubeconfig.write_bytes(view)
        return Kubectl(self.kubeconfig, self.context)

    def _require_lent(self, admin: Kubectl, namespaces: Sequence[str]) -> None:
        found = {each["metadata"]["name"]: each["metadata"].get("labels") or {} for each in _namespaces(admin)}
        mistakes = []
        for name in sorted({*namespaces, *self._namespaces}):
            if name not in self._namespaces:
                problem = (
                    f"the stack has pods in {name}, which was not named; nothing outside the named ones is touched"
                )
                mistakes.append(Mistake("--namespace", "", problem))
            elif name not in found:
                mistakes.append(Mistake("--namespace", "", f"the cluster has no namespace {name}"))
            elif found[name].get(ALLOWED) != "true":
                problem = f"{name} is not lent to the harness: kubectl label namespace {name} {ALLOWED}=true"
                mistakes.append(Mistake("--namespace", "", problem))
        if mistakes:
            raise InputError(mistakes)


def require_lent(choice: ClusterChoice) -> None:
    """Raises InputError where it is not said which cluster and which of its namespaces may be used."""
    mistakes = []
    if not choice.context:
        mistakes.append(Mistake("--context", "", "is missing: name the context of the cluster to use"))
    if not choice.namespaces:
        problem = f"is missing: name each namespace the harness may act in; it must have the label {ALLOWED}=true"
        mistakes.append(Mistake("--namespace", "", problem))
    if mistakes:
        raise InputError(mistakes)


def make_gpu(path: Path, *, time_scale: float) -> None:
    """Simulated devices at this path, new ones, which pods that run as nobody may use as we do."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    gpu.create(path, time_scale=time_scale)
    path.parent.chmod(0o777)
    path.chmod(0o666)


def _gpu_of_nodes(admin: Kubectl) -> Path | None:
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


def _namespaces(admin: Kubectl) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = admin.get("namespaces")["items"]
    return found
