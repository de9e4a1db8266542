"""Stands a stack up in a cluster, its own (kind) or one it was given, and takes it down again."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from harness import gpu
from harness.clock import DeadlineExceeded, RunClock, wait_until
from harness.environments.kube.access import account_kubectl
from harness.environments.kube.api_proxy import start_proxy
from harness.environments.kube.cluster import Cluster
from harness.environments.kube.ending import take_down
from harness.environments.kube.images import build_images, load_mapping
from harness.environments.kube.installation import OWN_IMAGE, Installation
from harness.environments.kube.kind_cluster import GPU_DIR, KindCluster, kind_version, require_tools
from harness.environments.kube.pods import list_pods
from harness.environments.kube.readiness import diagnose, unready
from harness.environments.kube.state import ClusterState, run_label
from harness.environments.kube.versions import read_versions
from harness.environments.kube.vocabulary import NAMESPACE
from harness.environments.receiver import with_receiver
from harness.errors import HarnessError, StackNotReady
from harness.stack import Stack

CLUSTER_CONFIG = Path(__file__).resolve().parents[3] / "fixtures" / "kind" / "cluster.yaml"
_GPU_FILE = "devices"
# What no cluster of this kind has, whatever the stack.
_NEVER_EXERCISED = (
    "the Prometheus operator: it is not in this cluster, its objects are rendered to plain StatefulSets",
    "Grafana's server: dashboards' queries are asked of Prometheus directly",
)
# Starting a fresh node's programs and storing images is beyond what a stack can be blamed for.
_POLL_S = 0.5


@dataclass(frozen=True, slots=True)
class ClusterChoice:
    """What was asked of a cluster. ``node_image``: of kind's nodes, None for kind's own; ``images``: a mapping."""

    node_image: str | None = None
    images: str = "official"


class KindEnvironment:
    """A stack in a kind cluster of its own: ``up``, work with it, then ``down``, which may be called at any time."""

    name = "kind"

    def __init__(
        self,
        stack: Stack,
        run_dir: Path,
        choice: ClusterChoice,
        *,
        time_scale: float,
        seed: int,
        dies_with_harness: bool = True,
    ) -> None:
        """Raises HarnessError when a program this environment needs is missing; nothing is touched."""
        require_tools()
        self._stack = with_receiver(stack)
        self._run_dir = run_dir.resolve()
        self._choice = choice
        self._time_scale = time_scale
        self._seed = seed
        self._dies_with_harness = dies_with_harness
        self._images = load_mapping(choice.images).resolve_all(self._stack.workloads)
        label = run_label(self._run_dir.name)
        name = "harness-" + re.sub(r"[^a-z0-9-]", "-", label.lower())[:40]
        self._kind = KindCluster(name, self._run_dir / "cluster.kubeconfig")
        self._state = ClusterState(
            environment=self.name,
            run_dir=str(self._run_dir),
            stack=str(self._stack.root.resolve()),
            stack_sha256=self._stack.sha256,
            time_scale=time_scale,
            seed=seed,
            cluster=name,
            keep=False,
            kubeconfig=str(self._kind.kubeconfig),
            context=f"kind-{name}",
            account_kubeconfig=str(self._run_dir / "harness.kubeconfig"),
            namespaces=tuple(sorted({*(each.namespace for each in self._stack.workloads), NAMESPACE})),
            gpu="simulated",
            gpu_file=str(self._run_dir / "gpu" / _GPU_FILE),
        )
        self._begun = False

    def up(
        self,
        *,
        timeout_s: float,
        progress: Callable[[str], None] = lambda text: None,
        watch: Callable[[], None] = lambda: None,
    ) -> Cluster:
        """The running cluster, once every pod is ready. ``watch`` is called while waiting and may raise to end it.

        Must be called on the main thread: the proxy to the API ends with the thread that started it.
        ``timeout_s`` is for the stack's pods, beyond what making the cluster takes. Raises StackNotReady naming what is
        not ready, why, and its last lines; HarnessError when the cluster itself cannot be had.
        """
        clock = RunClock.start()
        built = build_images(self._images.values(), progress=progress)
        watch()
        self._begun = True
        self._state.save()  # from here on another process can find what is to be taken down
        self._prepare_gpu()
        config = self._cluster_config()
        self._kind.create(config, self._run_dir, image=self._choice.node_image, progress=progress, watch=watch)
        progress(f"the cluster {self._kind.name} is ready after {clock.now_s():.0f} s")
        workers = self._workers()
        self._kind.load(built, nodes=workers)
        progress(f"{len(built)} images are on {', '.join(workers)}")
        watch()
        notes = self._install(progress)
        self._wait_ready(timeout_s=timeout_s, progress=progress, watch=watch)
        self._state = replace(
            self._state,
            not_exercised=tuple(dict.fromkeys([*_NEVER_EXERCISED, *notes, *self._notes()])),
            versions={**read_versions(self._state), "kind": kind_version()},
            ready_s=round(clock.now_s(), 3),
        )
        self._state.save()
        return Cluster(self._state)

    def down(self) -> None:
        """Nothing of the cluster is left; the run's directory keeps what was written there."""
        if self._begun:
            self._begun = False
            take_down(self._state)

    def _prepare_gpu(self) -> None:
        file = Path(self._state.gpu_file)
        file.parent.mkdir(parents=True)
        gpu.create(file, time_scale=self._time_scale)
        # Pods run as nobody, and the devices are theirs as much as ours.
        file.parent.chmod(0o777)
        file.chmod(0o666)

    def _cluster_config(self) -> dict[str, Any]:
        config: dict[str, Any] = yaml.safe_load(CLUSTER_CONFIG.read_text(encoding="utf-8"))
        mount = {"hostPath": str(Path(self._state.gpu_file).parent), "containerPath": GPU_DIR}
        for node in config["nodes"]:
            node["extraMounts"] = [*node.get("extraMounts", []), mount]
        return config

    def _workers(self) -> tuple[str, ...]:
        """The nodes pods may go to."""
        found = self._kind.kubectl.get("nodes")["items"]
        free = [
            each["metadata"]["name"]
            for each in found
            if not any(taint["key"].startswith("node-role.") for taint in each["spec"].get("taints", []))
        ]
        return tuple(sorted(free)) or tuple(each["metadata"]["name"] for each in found)

    def _install(self, progress: Callable[[str], None]) -> tuple[str, ...]:
        """The stack and the harness's account are in the cluster, and the API can be read from here. The result is what
        was changed or left out for it."""
        admin = self._kind.kubectl
        installation = Installation(self._stack, self._images, self._state, own_image=self._own_image())
        objects, notes = installation.objects(admin)
        admin.apply(objects)
        progress(f"{len(objects)} objects are in the cluster")
        kubectl = account_kubectl(admin, Path(self._state.account_kubeconfig))
        proxy = start_proxy(
            kubectl,
            self._state.namespaces,
            log=self._run_dir / "kubectl-proxy.log",
            dies_with_harness=self._dies_with_harness,
        )
        self._state = replace(
            self._state,
            proxy=proxy.url,
            proxy_pid=proxy.pid,
            proxy_started=proxy.pid_started,
            load_image=self._own_image(),
            **installation.paths(),
        )
        self._state.save()
        return notes

    def _own_image(self) -> str:
        """The image the harness itself is in, and locust."""
        return load_mapping(self._choice.images).resolve(OWN_IMAGE).reference

    def _notes(self) -> list[str]:
        ignored = [f"{each}: needs a controller that is not here" for each in self._stack.ignored if _unknown(each)]
        return ["GPU hardware: the devices are simulated", *ignored]

    def _wait_ready(self, *, timeout_s: float, progress: Callable[[str], None], watch: Callable[[], None]) -> None:
        waiting: Mapping[str, str] = {}
        told: set[str] = set()

        def all_ready() -> bool:
            nonlocal waiting
            watch()
            try:
                pods = list_pods(self._state.proxy, self._state.namespaces)
            except HarnessError as error:
                waiting = {"the cluster": str(error)}
                return False
            waiting = unready(self._stack.workloads, pods)
            for pod in pods:
                if pod.ready and pod.name not in told:
                    told.add(pod.name)
                    progress(f"{pod.name} is ready")
            return not waiting

        try:
            wait_until(all_ready, what="every pod is ready", timeout_s=timeout_s, poll_s=_POLL_S)
        except DeadlineExceeded as error:
            pods = list_pods(self._state.proxy, self._state.namespaces)
            why = {name: diagnose(name, said, pods, self._state.proxy) for name, said in waiting.items()}
            raise StackNotReady(waited_s=timeout_s, pods=why) from error


def _unknown(ignored: str) -> bool:
    """Whether an object the stack's reading passes over is one that a cluster does not know by itself either."""
    known = ("ServiceAccount/", "Role/", "RoleBinding/", "ClusterRole/", "ClusterRoleBinding/", "StorageClass/")
    return not ignored.startswith(known)
