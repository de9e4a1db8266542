"""What Prometheus's Kubernetes discovery would say of the pods, as static targets with the same meta
labels.

Source of labels and of which targets there are: prometheus, discovery/kubernetes, roles ``endpoints`` and
``pod``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from harness.model import PodAddress
from harness.stack.objects import ScrapeEndpoint, Service, ServicePort
from harness.stack.relabeling import label_name
from harness.stack.schema import LabelSelector

Target = Mapping[str, Any]


def targets_of(endpoint: ScrapeEndpoint, pods: Sequence[PodAddress]) -> list[Target]:
    """The static configurations of one scrape endpoint: one address each, not yet relabeled."""
    if endpoint.pod_selector is not None:
        return list(_pod_targets(endpoint, pods))
    return [target for service in endpoint.services for target in _endpoint_targets(service, pods)]


@dataclass(frozen=True, slots=True)
class Where:
    """Where Prometheus gets its targets from.

    ``pods``: from the harness, which knows them all; None: by discovery through the Kubernetes API, its own or, where
    it is built without that, what ``url`` gives (``GET url?role=…&namespace=…``, as its HTTP discovery reads it).
    """

    pods: Sequence[PodAddress] | None
    url: str | None

    @property
    def in_cluster(self) -> bool:
        """Whether Prometheus runs in a pod of a cluster, with the files of its account."""
        return self.pods is None

    def targets(self, endpoint: ScrapeEndpoint) -> dict[str, Any]:
        """The part of a scrape configuration that says which targets there are, before relabeling."""
        if self.pods is not None:
            return {"static_configs": [dict(target) for target in targets_of(endpoint, self.pods)]}
        if endpoint.pod_selector is not None:
            return self.discovery("pod", endpoint.pod_namespaces or ())
        # A monitor that selects no Service looks in its own namespace, where one may appear.
        namespaces = tuple(sorted({each.namespace for each in endpoint.services})) or (endpoint.namespace,)
        return self.discovery("endpoints", namespaces)

    def discovery(self, role: str, namespaces: Sequence[str]) -> dict[str, Any]:
        """Discovery of a role in these namespaces, of all of them where none is named."""
        if self.url is None:
            names = {"namespaces": {"names": list(namespaces)}} if namespaces else {}
            return {"kubernetes_sd_configs": [{"role": role, **names}]}
        query = urlencode([("role", role), *(("namespace", each) for each in namespaces)])
        return {"http_sd_configs": [{"url": f"{self.url}?{query}", "refresh_interval": "1s"}]}


def pods_behind(service: Service, pods: Sequence[PodAddress]) -> tuple[PodAddress, ...]:
    """The pods a Service's selector matches; a Service without a selector has none of its own."""
    if not service.selector:
        return ()
    wanted = service.selector.items()
    return tuple(
        pod
        for pod in pods
        if pod.namespace == service.namespace and all(pod.labels.get(key) == value for key, value in wanted)
    )


def target_port(port: ServicePort, pod: PodAddress) -> int | None:
    """The port of the pod a Service's port leads to; None when it names a port the pod does not have."""
    return port.target if isinstance(port.target, int) else pod.ports.get(port.target)


def _endpoint_targets(service: Service, pods: Sequence[PodAddress]) -> Iterator[Target]:
    behind = pods_behind(service, pods)
    served: set[tuple[str, int]] = set()
    for port in service.ports:
        for pod in _one_per_pod(behind, port):
            number = target_port(port, pod)
            if number is None:
                continue
            served.add((pod.name, number))
            labels = {
                "__meta_kubernetes_endpoints_name": service.name,
                "__meta_kubernetes_endpoint_port_name": port.name,
                "__meta_kubernetes_endpoint_port_protocol": "TCP",
                "__meta_kubernetes_endpoint_ready": "true",
                "__meta_kubernetes_endpoint_address_target_kind": "Pod",
                "__meta_kubernetes_endpoint_address_target_name": pod.name,
            }
            yield _target(pod, number, {**_service_labels(service), **labels})
    # A pod's ports that no Service port leads to are targets too; only a monitor's targetPort picks them.
    for pod in behind:
        for number in pod.ports.values():
            if (pod.name, number) not in served:
                yield _target(pod, number, _service_labels(service))


def _one_per_pod(pods: Sequence[PodAddress], port: ServicePort) -> Iterator[PodAddress]:
    """One container of each pod: the one that declares the port's target where there is one."""
    by_name: dict[str, PodAddress] = {}
    for pod in pods:
        declares = target_port(port, pod) in pod.ports.values()
        if pod.name not in by_name or declares:
            by_name[pod.name] = pod
    yield from by_name.values()


def _pod_targets(endpoint: ScrapeEndpoint, pods: Sequence[PodAddress]) -> Iterator[Target]:
    selector = LabelSelector.model_validate(endpoint.pod_selector)
    for pod in pods:
        inside = endpoint.pod_namespaces is None or pod.namespace in endpoint.pod_namespaces
        if not inside or not selector.selects(dict(pod.labels)):
            continue
        for number in pod.ports.values():
            yield _target(pod, number, {})


def _target(pod: PodAddress, number: int, labels: Mapping[str, str]) -> Target:
    name = next((name for name, port in pod.ports.items() if port == number), None)
    meta = {
        "__meta_kubernetes_namespace": pod.namespace,
        "__meta_kubernetes_pod_name": pod.name,
        "__meta_kubernetes_pod_ip": pod.address,
        "__meta_kubernetes_pod_phase": "Running",
        "__meta_kubernetes_pod_ready": "true",
        **_labels("pod", pod.labels),
        **labels,
    }
    if name is not None:
        meta |= {
            "__meta_kubernetes_pod_container_name": pod.container,
            "__meta_kubernetes_pod_container_port_number": str(number),
            "__meta_kubernetes_pod_container_port_protocol": "TCP",
        }
        # A container's port without a name is called by its number here, and by nothing there.
        meta |= {} if name == str(number) else {"__meta_kubernetes_pod_container_port_name": name}
    return {"targets": [f"{pod.address}:{number}"], "labels": dict(sorted(meta.items()))}


def _service_labels(service: Service) -> dict[str, str]:
    return {"__meta_kubernetes_service_name": service.name, **_labels("service", service.labels)}


def _labels(kind: str, labels: Mapping[str, str]) -> dict[str, str]:
    values = {f"__meta_kubernetes_{kind}_label_{label_name(key)}": value for key, value in labels.items()}
    present = {f"__meta_kubernetes_{kind}_labelpresent_{label_name(key)}": "true" for key in labels}
    return {**values, **present}
