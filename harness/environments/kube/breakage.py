"""What of a cluster only a cluster has, for faults: nodes, packets, memory limits, rollouts."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from harness.environments.kube.container_memory import exhaust_memory
from harness.environments.kube.kind_cluster import require_node
from harness.environments.kube.kind_node import KindNode
from harness.environments.kube.kubectl import Kubectl
from harness.environments.kube.pod_network import PodNetwork, accept, drop, hasten, require_delays
from harness.environments.kube.pods import ClusterPod, read_pod
from harness.environments.kube.rollouts import missing_of_rollout, present_revision
from harness.errors import HarnessError, PodGone
from harness.model import ProcessRef

_KUBELET_PORT = 10250
_KUBELET_S = 20.0
# On each pod of a StatefulSet: the template it was made from.
_REVISION = "controller-revision-hash"
# Clusters before 1.22 know the second one only.
_EVICTION_VERSIONS = ("policy/v1", "policy/v1beta1")
_CONTROLLERS = {"Deployment": "deployment", "StatefulSet": "statefulset"}


class Breakage:
    """Operations on a cluster's nodes, its pods' networks, its workloads' templates.

    ``pod`` finds one by name and namespace or raises PodGone, ``pods`` all of a workload; ``ask`` reads a path of the
    API. ``own_image``: of the harness's own package, for what has to run in a node.
    """

    def __init__(
        self,
        kubectl: Kubectl,
        *,
        pod: Callable[[str, str], ClusterPod],
        pods: Callable[[str, str | None], Sequence[ClusterPod]],
        ask: Callable[[str], Any],
        own_image: str,
        node: Callable[[str], KindNode] = KindNode,
    ) -> None:
        self._kubectl = kubectl
        self._pod = pod
        self._pods = pods
        self._ask = ask
        self._own_image = own_image
        self._named = node
        self._reached: set[str] = set()

    def node_of(self, pod: str, namespace: str) -> str:
        """The node a pod is on. Raises HarnessError for one that no node has."""
        node = self._pod(pod, namespace).node
        if not node:
            raise HarnessError(f"pod {pod} is on no node yet")
        return node

    def node_status(self, node: str) -> str:
        """The condition Ready of a node: ``True``, ``False``, ``Unknown``."""
        conditions = self._ask(f"/api/v1/nodes/{node}")["status"].get("conditions", [])
        return next((str(each["status"]) for each in conditions if each["type"] == "Ready"), "Unknown")

    def stop_kubelet(self, node: str) -> None:
        """The kubelet of a node ends."""
        self._node(node).service("stop", "kubelet")

    def start_kubelet(self, node: str) -> None:
        """The kubelet of a node is started, and given some seconds in which to answer."""
        self._node(node).service("start", "kubelet")
        self._node(node).await_port(_KUBELET_PORT, timeout_s=_KUBELET_S)

    def set_schedulable(self, node: str, schedulable: bool) -> None:
        """Whether new pods may go to a node."""
        change = {"spec": {"unschedulable": None if schedulable else True}}
        self._kubectl.run("patch", "node", node, "--type=merge", "-p", json.dumps(change))

    def is_schedulable(self, node: str) -> bool:
        """Whether new pods may go to a node."""
        return not self._ask(f"/api/v1/nodes/{node}")["spec"].get("unschedulable", False)

    def evict(self, pod: str, namespace: str) -> None:
        """The pod is told to end, unless somebody's PodDisruptionBudget forbids it, which raises HarnessError."""
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}/eviction"
        for version in _EVICTION_VERSIONS:
            order = {"apiVersion": version, "kind": "Eviction", "metadata": {"name": pod, "namespace": namespace}}
            try:
                self._kubectl.run("create", "--raw", path, "-f", "-", given=json.dumps(order).encode())
            except HarnessError as error:
                if "NotFound" in str(error):
                    return
                if version == _EVICTION_VERSIONS[-1] or "no kind" not in str(error):
                    raise
            else:
                return

    def uid_of(self, pod: str, namespace: str) -> str | None:
        """The API's identity of a pod; None once it is gone or about to end."""
        return next((each.uid for each in self._pods(pod, namespace) if each.name == pod), None)

    def pending(self, workload: str, namespace: str) -> Sequence[str]:
        """The workload's pods that no node has."""
        return [pod.name for pod in self._pods(workload, namespace) if pod.phase == "Pending" and not pod.node]

    def still_running(self, pods: Sequence[str], namespace: str) -> Sequence[str]:
        """Those of the pods of which a container runs, those that are ending included."""
        listed = self._ask(f"/api/v1/namespaces/{namespace}/pods")["items"]
        found = [read_pod(raw) for raw in listed if raw["metadata"]["name"] in pods]
        return [pod.name for pod in found if any(each.running for each in pod.containers)]

    def ready_pods(self, workload: str, namespace: str) -> Sequence[str]:
        """The workload's pods that are ready."""
        return [pod.name for pod in self._pods(workload, namespace) if pod.ready]

    def address(self, pod: str, namespace: str) -> tuple[str, int]:
        """A pod's address and its first declared port. Raises HarnessError for one without either."""
        raw = self._raw(pod, namespace)
        address = raw["status"].get("podIP")
        ports = [port["containerPort"] for each in raw["spec"]["containers"] for port in each.get("ports", [])]
        if not address or not ports:
            raise HarnessError(f"pod {pod} has no address yet, or declares no port: nothing can be cut off from it")
        return str(address), int(ports[0])

    def drop_packets(self, parted: Sequence[tuple[str, str, str]], *, mark: str) -> None:
        """For each pod, namespace and address: no packet between the two passes."""
        rules: dict[str, list[tuple[str, str]]] = {}
        for pod, namespace, address in parted:
            network = self._network(pod, namespace)
            rules.setdefault(network.node.name, []).append((network.uid, address))
        for node, of_node in rules.items():
            drop(self._node(node), of_node, mark)

    def accept_packets(self, pods: Sequence[tuple[str, str]], *, mark: str) -> None:
        """None of the pods that are still there has a rule with the mark."""
        uids: dict[str, list[str]] = {}
        for pod, namespace in pods:
            with contextlib.suppress(PodGone):
                network = self._network(pod, namespace)
                uids.setdefault(network.node.name, []).append(network.uid)
        for node, of_node in uids.items():
            accept(self._node(node), of_node, mark)

    def counted_packets(self, pod: str, namespace: str, *, mark: str) -> int | None:
        """How many packets the rules with the mark have met; None without such a rule."""
        return self._network(pod, namespace).counted(mark)

    def connect_s(self, pod: str, namespace: str, *, address: str, port: int, within_s: float) -> float | None:
        """How long a TCP connection from the pod's network takes; None where none is made."""
        return self._network(pod, namespace).connect_s(address, port, within_s=within_s)

    def require_delays(self, node: str) -> None:
        """Raises HarnessError where the node cannot delay packets."""
        require_delays(self._node(node), self._own_image)

    def delay_packets(self, parted: Sequence[tuple[str, str, str]], *, mark: str, delay_ms: int) -> None:
        """For each pod, namespace and address: what the pod sends there leaves this much later."""
        addresses: dict[tuple[str, str], list[str]] = {}
        for pod, namespace, address in parted:
            addresses.setdefault((pod, namespace), []).append(address)
        for (pod, namespace), of_pod in addresses.items():
            self._network(pod, namespace).delay(of_pod, mark=mark, delay_ms=delay_ms, image=self._own_image)

    def hasten_packets(self, ends: Sequence[tuple[str, str]], *, mark: str) -> None:
        """For each node and pod's uid: nothing holds back packets for the mark."""
        for node in dict.fromkeys(node for node, _ in ends):
            hasten(self._node(node), [uid for of_node, uid in ends if of_node == node], mark)

    def exhaust_memory(self, pod: str, namespace: str, *, process: ProcessRef) -> None:
        """The kernel kills the process since its container's memory ran out."""
        exhaust_memory(self._node(process.node), process)

    def last_end(self, pod: str, namespace: str) -> tuple[str, str]:
        """The id and the reason of the first container's last end."""
        raw = self._raw(pod, namespace)
        first = raw["spec"]["containers"][0]["name"]
        for status in raw["status"].get("containerStatuses", []):
            for key in ("state", "lastState") if status["name"] == first else ():
                ended = status.get(key, {}).get("terminated")
                if ended:
                    return str(ended.get("containerID", "")).rpartition("//")[2], str(ended.get("reason", ""))
        return "", ""

    def image(self, workload: str, namespace: str | None) -> Mapping[str, Any]:
        """kind, name, namespace, image, policy of a Deployment's or StatefulSet's first container."""
        found = self._pods(workload, namespace)
        if not found:
            raise HarnessError(f"no pod of workload {workload!r}" + (f" in namespace {namespace}" if namespace else ""))
        pod = found[0]
        if pod.owner_kind not in _CONTROLLERS:
            raise HarnessError(
                f"{workload} is a {pod.owner_kind or 'Pod'}: only what is rolled out has an image to break"
            )
        template = self._controller(pod.owner_kind, pod.workload, pod.namespace)["spec"]["template"]
        container = template["spec"]["containers"][0]
        return {
            "kind": pod.owner_kind,
            "name": pod.workload,
            "namespace": pod.namespace,
            "image": container["image"],
            "policy": container["imagePullPolicy"],
        }

    def set_image(self, kind: str, name: str, namespace: str, *, image: str, policy: str) -> None:
        """The template's first container has this image and pull policy."""
        place = "/spec/template/spec/containers/0"
        change = [
            {"op": "replace", "path": f"{place}/image", "value": image},
            {"op": "replace", "path": f"{place}/imagePullPolicy", "value": policy},
        ]
        self._kubectl.run("-n", namespace, "patch", _CONTROLLERS[kind], name, "--type=json", "-p", json.dumps(change))

    def replace_stuck(self, stateful_set: str, namespace: str) -> None:
        """The StatefulSet's pods of a former template that are not ready are evicted, once no other can come.

        Until its controller has seen the template change it may make one more.
        """
        revision = present_revision(stateful_set, lambda: self._controller("StatefulSet", stateful_set, namespace))
        for pod in self._pods(stateful_set, namespace):
            if pod.owner_kind == "StatefulSet" and pod.labels.get(_REVISION) != revision and not pod.ready:
                self.evict(pod.name, namespace)

    def rollout(self, kind: str, name: str, namespace: str) -> str | None:
        """What is missing until every pod is of the present template and ready."""
        return missing_of_rollout(self._controller(kind, name, namespace))

    def waiting(self, workload: str, namespace: str) -> Mapping[str, str]:
        """Pod → why its first waiting container waits."""
        return {
            pod.name: each.waiting.partition(":")[0]
            for pod in self._pods(workload, namespace)
            for each in reversed((*pod.init_containers, *pod.containers))
            if each.waiting
        }

    def _controller(self, kind: str, name: str, namespace: str) -> Any:
        return self._kubectl.get("-n", namespace, _CONTROLLERS[kind], name)

    def _raw(self, pod: str, namespace: str) -> Any:
        self._pod(pod, namespace)  # says so when it is gone
        return self._ask(f"/api/v1/namespaces/{namespace}/pods/{pod}")

    def _network(self, pod: str, namespace: str) -> PodNetwork:
        found = self._pod(pod, namespace)
        if found.spec.get("hostNetwork"):
            raise HarnessError(f"pod {pod} has its node's network, none of its own that could be broken")
        if not found.node:
            raise PodGone(f"pod {pod} is on no node")
        return PodNetwork(self._node(found.node), found.uid)

    def _node(self, name: str) -> KindNode:
        """A node that can be reached beneath the API."""
        if name not in self._reached:
            require_node(name)
            self._reached.add(name)
        return self._named(name)
