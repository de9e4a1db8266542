"""A running cluster environment: its pods' processes, volumes and configuration. Any process may attach to one."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import requests

from harness.environments.kube.api_proxy import ask
from harness.environments.kube.breakage import Breakage
from harness.environments.kube.ending import take_down
from harness.environments.kube.kind_cluster import KindCluster
from harness.environments.kube.kind_node import KindNode, KindNodes
from harness.environments.kube.kubectl import Kubectl
from harness.environments.kube.lent_cluster import require_free
from harness.environments.kube.pods import ClusterPod, list_pods
from harness.environments.kube.readiness import diagnose, why_unready
from harness.environments.kube.scaling import Scaling, counts_costs
from harness.environments.kube.state import ClusterState
from harness.environments.kube.vocabulary import ACCOUNT, MANAGED, TOUCHED, labelled
from harness.environments.kube.volumes import config_file, config_maps_of, kept_volume, pods_with, volume_path
from harness.errors import HarnessError, PodGone
from harness.model import ProcessRef

_ASK_S = 3.0
_COMPONENT = "app.kubernetes.io/component"
_LOAD = ("load-master", "load-worker")


class Cluster:
    """Operations on a running cluster environment."""

    def __init__(self, state: ClusterState) -> None:
        self.state = state
        self._kubectl = Kubectl(Path(state.account_kubeconfig), ACCOUNT)
        self._nodes = KindNodes()
        self.cluster = Breakage(
            self._kubectl,
            pod=self._pod,
            pods=self.pods,
            ask=self._ask,
            own_image=state.own_image,
            node=self._nodes.named,
        )
        costs_count = counts_costs(state.versions.get("kubernetes", ""))
        self._scaling = Scaling(self._kubectl, pods=self._pods, costs_count=costs_count)

    def alive(self) -> bool:
        """Whether the cluster is there, and what was put into it."""
        return cluster_exists(self.state)

    def container_states(self) -> list[dict[str, Any]]:
        """Every container of the stack: pod, namespace, workload, container, running, pid, exit_code, completes.

        ``pid`` is the container's own identity, another one after each start. A pod that is ending and of which nothing
        runs any more is gone: a cluster may need a minute until it says so, when volumes are slow to let go.
        """
        return [
            {
                "pod": pod.name,
                "namespace": pod.namespace,
                "workload": pod.workload,
                "container": container.name,
                "running": container.running and not pod.ending,
                "pid": container.id[:12],
                "exit_code": container.exit_code,
                "completes": pod.spec.get("restartPolicy", "Always") != "Always",
            }
            for pod in self._pods()
            if not pod.ending or any(container.running for container in pod.containers)
            for container in pod.containers
        ]

    def pods(self, workload: str, namespace: str | None = None) -> tuple[ClusterPod, ...]:
        """The pods of a workload, or the one pod of this name, oldest first, without those that are ending."""
        return tuple(
            pod
            for pod in self._pods()
            if workload in (pod.workload, pod.name) and namespace in (None, pod.namespace) and not pod.ending
        )

    def removable(self, workload: str, namespace: str | None = None) -> tuple[ClusterPod, ...]:
        """The pods that can be kept down: of a StatefulSet only the last one, the first that scaling takes."""
        found = self.pods(workload, namespace)
        last = {pod.workload: pod.name for pod in sorted(found, key=_ordinal)}
        return tuple(pod for pod in found if pod.owner_kind != "StatefulSet" or last[pod.workload] == pod.name)

    def processes(self, pod: str, namespace: str) -> list[ProcessRef]:
        """A pod's processes, its first container's own first process before all others; empty while it does not run."""
        try:
            found = self._pod(pod, namespace)
        except PodGone:
            return []
        ids = [container.id for container in found.containers if container.id]
        return self._nodes.named(found.node).processes(ids) if found.node else []

    def signal(self, process: ProcessRef, number: signal.Signals) -> bool:
        """Whether the signal reached that very process."""
        return self._nodes.named(process.node).signal(process, number)

    def process_state(self, process: ProcessRef) -> str | None:
        """The kernel's letter for what a process does (``T``: stopped); None when it is gone."""
        return self._nodes.named(process.node).process_state(process)

    def keep_down(self, pod: str, namespace: str) -> None:
        """Its workload has one pod less from here on, and that pod is the one that goes.

        Raises HarnessError for a pod whose workload has no size, or would give up another one.
        """

        def kill() -> None:
            for process in self.processes(pod, namespace)[:1]:
                self.signal(process, signal.SIGKILL)

        self._scaling.take(self._pod(pod, namespace), kill=kill)

    def let_up(self, pod: str, namespace: str) -> None:
        """Whatever workload this pod was of has its size again. Raises HarnessError when the cluster is not reached."""
        self._scaling.give_back(pod, namespace)

    def volume_usage(self, pod: str, namespace: str, volume: str) -> tuple[int, int]:
        """(size, available) of a pod's volume in bytes."""
        node, path = self._place(pod, namespace, volume)
        return node.usage(path)

    def read_file(self, pod: str, namespace: str, volume: str, name: str) -> bytes:
        """The content of a file in a pod's volume, as its node has it."""
        node, path = self._place(pod, namespace, volume)
        if not node.has(f"{path}/{name}"):
            raise HarnessError(f"{name} on volume {volume} of pod {pod}: No such file or directory")
        return node.read(f"{path}/{name}")

    def write_file(self, pod: str, namespace: str, volume: str, name: str, content: bytes) -> None:
        """The file holds this content from here on."""
        node, path = self._place(pod, namespace, volume)
        node.replace(f"{path}/{name}", content)

    def allocate_file(self, pod: str, namespace: str, volume: str, name: str, size_bytes: int) -> None:
        """The file takes this much of the volume, or all there is where that is less."""
        node, path = self._place(pod, namespace, volume)
        node.allocate(f"{path}/{name}", size_bytes)

    def remove_file(self, pod: str, namespace: str, volume: str, name: str) -> None:
        """There is no such file."""
        node, path = self._place(pod, namespace, volume)
        node.remove(f"{path}/{name}")

    def has_file(self, pod: str, namespace: str, volume: str, name: str) -> bool:
        """Whether there is such a file."""
        node, path = self._place(pod, namespace, volume)
        return node.has(f"{path}/{name}")

    def kept_volume(self, pod: str, namespace: str, volume: str) -> Mapping[str, Any] | None:
        """A claim by its name, a node's directory by its path, any other volume that outlives its pod by its source."""
        return kept_volume(self._pod(pod, namespace), volume)

    def pods_with(self, kept: Mapping[str, Any]) -> Sequence[tuple[ClusterPod, str]]:
        """The pods that have this volume, without those that are ending; those that run, if any."""
        return pods_with((pod for pod in self._pods() if not pod.ending), kept)

    def config_source(self, pod: str, namespace: str, volume: str, name: str) -> Mapping[str, str]:
        """The ConfigMap and its key. Raises HarnessError for a file that is not from one, or does not follow it."""
        config_map, key = config_file(self._pod(pod, namespace), volume, name)
        return {"namespace": namespace, "config_map": config_map, "key": key}

    def write_config(self, source: Mapping[str, Any], text: str) -> None:
        """The ConfigMap holds this text, and the kubelets of all pods that have it are made to look at once."""
        namespace, config_map = source["namespace"], source["config_map"]
        self._kubectl.patch("configmap", config_map, namespace, {"data": {source["key"]: text}})
        for pod in self._pods():
            if pod.namespace == namespace and config_map in config_maps_of(pod):
                touched = {"metadata": {"annotations": {TOUCHED: f"{time.time():.3f}"}}}
                with contextlib.suppress(HarnessError):  # one that ends meanwhile needs no look
                    self._kubectl.patch("pod", pod.name, namespace, touched)

    # Each look starts programs in a node.
    look_every_s = 0.2
    # A pod is scheduled, its volume attached, its container started; one that ended is started again after 10 s.
    reach_s = 20.0

    @property
    def run_dir(self) -> Path:
        """The run's own directory."""
        return Path(self.state.run_dir)

    @property
    def simulated_gpus(self) -> Path | None:
        """The simulated devices' state file; None where the devices are real."""
        return Path(self.state.gpu_file) if self.state.gpu_file else None

    def apply(self, objects: Sequence[Mapping[str, Any]]) -> None:
        """The harness's own objects are there, with the run's label. Raises HarnessError, and InputError where it was
        lent a namespace in which others have some of that name.
        """
        if self.state.lent:
            require_free(self._kubectl, objects, self.state.run_label)
        self._kubectl.apply(labelled(each, self.state.run_label) for each in objects)

    def delete(self, objects: Sequence[Mapping[str, Any]]) -> None:
        """The harness's own objects are going, their pods within seconds. Raises HarnessError."""
        self._kubectl.delete(objects, grace_s=2)

    def running(self, pod: str, namespace: str) -> bool:
        """Whether a container of one of the harness's own pods runs; a pod that failed to raises HarnessError."""
        found = self._own(pod, namespace)
        if found is not None and found.phase == "Failed":
            raise HarnessError(f"pod {pod} ended as soon as it was started")
        return found is not None and any(container.running for container in found.containers)

    def why_not_running(self, pod: str, namespace: str) -> str:
        """What keeps one of the harness's own pods, with its latest events and the last lines of its output."""
        found = self._own(pod, namespace)
        if found is None:
            return diagnose(pod, "it is not there", [], self.state.proxy, [namespace])
        return diagnose(pod, why_unready(found), [found], self.state.proxy)

    def log_argv(self, pod: str, namespace: str) -> list[str]:
        """The command that writes a pod's output as long as it lasts, and ends when its standard input does.

        In a kind node it reads the file the container runtime writes, which goes on while the kubelet is stopped.
        """
        found = self._own(pod, namespace)
        if self.state.cluster and found is not None and found.node:
            directory = f"/var/log/pods/{namespace}_{pod}_{found.uid}"
            return KindNode(found.node).follow_argv(f"{directory}/{found.containers[0].name}/0.log")
        return self._kubectl.argv("-n", namespace, "logs", "--follow", pod)

    def service_address(self, namespace: str, name: str) -> str:
        """A Service's address inside the cluster. Raises HarnessError when it has none."""
        service = self._ask(f"/api/v1/namespaces/{namespace}/services/{name}")
        address = str(service.get("spec", {}).get("clusterIP") or "None")
        if address == "None":
            raise HarnessError(f"Service {namespace}/{name} has no address of its own")
        return address

    def stop(self) -> None:
        """The cluster is gone, or, where it is kept, all that was put into it."""
        take_down(self.state)

    def _ask(self, path: str) -> Any:
        try:
            answer = ask(self.state.proxy + path, timeout_s=_ASK_S)
            answer.raise_for_status()
            return answer.json()
        except (requests.RequestException, ValueError) as error:
            raise HarnessError(f"the cluster cannot be asked for {path}: {error}") from error

    def _pods(self) -> tuple[ClusterPod, ...]:
        """The stack's pods: those of the load are none of it, nor is what else runs in a namespace that was lent."""
        found = list_pods(self.state.proxy, self.state.namespaces)
        made = [pod for pod in found if pod.labels.get(MANAGED) == self.state.run_label]
        return tuple(pod for pod in made if pod.labels.get(_COMPONENT) not in _LOAD)

    def _own(self, name: str, namespace: str) -> ClusterPod | None:
        """One of the harness's own pods."""
        return next((pod for pod in list_pods(self.state.proxy, [namespace]) if pod.name == name), None)

    def _pod(self, name: str, namespace: str) -> ClusterPod:
        found = next((pod for pod in self._pods() if (pod.name, pod.namespace) == (name, namespace)), None)
        if found is None or found.ending:
            raise PodGone(f"no pod {name!r} in namespace {namespace!r}")
        return found

    def _place(self, pod: str, namespace: str, volume: str) -> tuple[KindNode, str]:
        found = self._pod(pod, namespace)
        node = self._nodes.named(found.node)
        return node, volume_path(found, volume, node)


def cluster_exists(state: ClusterState) -> bool:
    """Whether the cluster of this state is there; of one that outlives the run, whether the run's things may be."""
    if state.ended:
        return False
    if state.cluster and not state.keep:
        return KindCluster(state.cluster, Path(state.kubeconfig)).exists()
    # This copy is there before anything is made, and goes once all of it is removed; the account's may be gone before.
    return Path(state.kubeconfig).exists()


def _ordinal(pod: ClusterPod) -> tuple[int, str]:
    last = pod.name.rpartition("-")[2]
    return (int(last) if last.isdigit() else 0), pod.name
