"""Selected ServiceMonitors and PodMonitors → the endpoints Prometheus scrapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.clock import parse_duration
from harness.errors import Mistake
from harness.stack.inventory import Found, Inventory
from harness.stack.objects import ScrapeEndpoint, Service, ServicePort
from harness.stack.operator_manifests import (
    EndpointFields,
    MonitorSpec,
    PodMonitorManifest,
    PrometheusManifest,
    ServiceMonitorManifest,
)
from harness.stack.places import Place
from harness.stack.relabeling import own_rule, pod_relabeling, service_relabeling
from harness.stack.selection import Choice, choose, namespaces_of

# Prometheus's own default, used where neither the monitor nor the Prometheus object names one.
_DEFAULT_TIMEOUT_S = 10.0
_NOT_CARRIED = ("authorization", "basicAuth", "bearerTokenSecret", "oauth2", "proxyUrl")
# The Service by which every cluster's API server is found, and which no stack's manifests hold.
# Source: Kubernetes, the control plane's own kubernetes Service.
_API_SERVER = Service(
    namespace="default",
    name="kubernetes",
    labels={"component": "apiserver", "provider": "kubernetes"},
    selector={},
    ports=(ServicePort("https", 443, 6443),),
    headless=False,
)
# What of a tlsConfig can be carried as it is: paths in the Prometheus pod, and plain values. The rest names Secrets.
_TLS = {
    "caFile": "ca_file",
    "certFile": "cert_file",
    "keyFile": "key_file",
    "serverName": "server_name",
    "insecureSkipVerify": "insecure_skip_verify",
}


def read_endpoints(
    prometheus: Found[PrometheusManifest],
    inventory: Inventory,
    services: Sequence[Service],
    mistakes: list[Mistake],
) -> tuple[tuple[ScrapeEndpoint, ...], tuple[str, ...]]:
    """The endpoints of every selected monitor, and a line for each monitor or endpoint that leads nowhere."""
    spec, (namespace, _) = prometheus.manifest.spec, prometheus.key
    of_services = Choice(
        prometheus.title,
        namespace,
        "serviceMonitorSelector",
        spec.service_monitor_selector,
        spec.service_monitor_namespace_selector,
    )
    of_pods = Choice(
        prometheus.title,
        namespace,
        "podMonitorSelector",
        spec.pod_monitor_selector,
        spec.pod_monitor_namespace_selector,
    )
    service_monitors, refused = choose(inventory.of(ServiceMonitorManifest), of_services, inventory)
    pod_monitors, refused_pods = choose(inventory.of(PodMonitorManifest), of_pods, inventory)
    endpoints: list[ScrapeEndpoint] = []
    notes = [*refused, *refused_pods]
    for monitor in service_monitors:
        chosen = _services(monitor, prometheus, (*services, _API_SERVER))
        if not chosen:
            notes.append(f"{monitor.title} in {monitor.key[0]}: its selector matches no Service")
        for index, endpoint in enumerate(monitor.manifest.spec.endpoints):
            place = monitor.place.at("spec", "endpoints", index)
            if chosen and not any(_serves(service, endpoint) for service in chosen):
                notes.append(f"{monitor.title} in {monitor.key[0]}: no selected Service has the port {endpoint.port!r}")
            endpoints.append(_service_endpoint(monitor, endpoint, index, place, chosen, prometheus, mistakes))
    for pods in pod_monitors:
        for index, endpoint in enumerate(pods.manifest.spec.pod_metrics_endpoints):
            place = pods.place.at("spec", "podMetricsEndpoints", index)
            endpoints.append(_pod_endpoint(pods, endpoint, index, place, prometheus, mistakes))
    return tuple(endpoints), tuple(notes)


def _services(
    monitor: Found[ServiceMonitorManifest], prometheus: Found[PrometheusManifest], services: Sequence[Service]
) -> tuple[Service, ...]:
    spec = monitor.manifest.spec
    looked_in = _namespaces(spec, monitor.key[0], prometheus)
    return tuple(
        service
        for service in services
        if (looked_in is None or service.namespace in looked_in) and spec.selector.selects(dict(service.labels))
    )


def _namespaces(spec: MonitorSpec, own: str, prometheus: Found[PrometheusManifest]) -> tuple[str, ...] | None:
    if prometheus.manifest.spec.ignore_namespace_selectors:
        return (own,)
    selector = spec.namespace_selector
    return namespaces_of(any_namespace=selector.any, names=selector.match_names, own=own)


def _serves(service: Service, endpoint: EndpointFields) -> bool:
    return not endpoint.port or any(port.name == endpoint.port for port in service.ports)


def _service_endpoint(
    monitor: Found[ServiceMonitorManifest],
    endpoint: EndpointFields,
    index: int,
    place: Place,
    services: tuple[Service, ...],
    prometheus: Found[PrometheusManifest],
    mistakes: list[Mistake],
) -> ScrapeEndpoint:
    spec, (namespace, name) = monitor.manifest.spec, monitor.key
    return ScrapeEndpoint(
        job=f"serviceMonitor/{namespace}/{name}/{index}",
        namespace=namespace,
        monitor=name,
        services=services,
        pod_namespaces=None,
        pod_selector=None,
        relabelings=service_relabeling(spec, endpoint, prometheus.manifest.spec.pod_target_labels),
        **_shared(spec, endpoint, place, prometheus, mistakes),
    )


def _pod_endpoint(
    monitor: Found[PodMonitorManifest],
    endpoint: EndpointFields,
    index: int,
    place: Place,
    prometheus: Found[PrometheusManifest],
    mistakes: list[Mistake],
) -> ScrapeEndpoint:
    spec, (namespace, name) = monitor.manifest.spec, monitor.key
    further = prometheus.manifest.spec.pod_target_labels
    return ScrapeEndpoint(
        job=f"podMonitor/{namespace}/{name}/{index}",
        namespace=namespace,
        monitor=name,
        services=(),
        pod_namespaces=_namespaces(spec, namespace, prometheus),
        pod_selector=spec.selector.model_dump(by_alias=True),
        relabelings=pod_relabeling(spec, endpoint, further, f"{namespace}/{name}"),
        **_shared(spec, endpoint, place, prometheus, mistakes),
    )


def _shared(
    spec: MonitorSpec,
    endpoint: EndpointFields,
    place: Place,
    prometheus: Found[PrometheusManifest],
    mistakes: list[Mistake],
) -> dict[str, Any]:
    owner = prometheus.manifest.spec
    interval_s = parse_duration(endpoint.interval or owner.scrape_interval)
    # A global timeout longer than this endpoint's interval is shortened by Prometheus; one of its own is not.
    inherited_s = parse_duration(owner.scrape_timeout) if owner.scrape_timeout else _DEFAULT_TIMEOUT_S
    timeout_s = parse_duration(endpoint.scrape_timeout) if endpoint.scrape_timeout else min(inherited_s, interval_s)
    if interval_s == 0:
        mistakes.append(place.at("interval").mistake("is zero, need a duration such as 30s"))
    if timeout_s > interval_s:
        problem = f"{timeout_s:g} s is longer than the scrape interval, {interval_s:g} s; the operator refuses this"
        mistakes.append(place.at("scrapeTimeout").mistake(problem))
    wanted = endpoint.port or endpoint.port_number or endpoint.target_port
    if not wanted:
        mistakes.append(place.mistake("names neither port nor targetPort"))
    extra: Mapping[str, Any] = endpoint.model_extra or {}
    connection, unknown = _connection(endpoint)
    return {
        "port": wanted or "",
        "path": endpoint.path,
        "scheme": endpoint.scheme.lower(),
        "interval_s": interval_s,
        "timeout_s": timeout_s,
        "honor_labels": endpoint.honor_labels and not owner.override_honor_labels,
        "params": {key: tuple(values) for key, values in endpoint.params.items()},
        "metric_relabelings": tuple(map(own_rule, endpoint.metric_relabelings)),
        "job_label": spec.job_label,
        "where": str(place),
        "settings": _settings(spec, endpoint),
        "connection": connection,
        "left_out": (*(key for key in _NOT_CARRIED if key in extra), *unknown),
    }


def _connection(endpoint: EndpointFields) -> tuple[dict[str, Any], tuple[str, ...]]:
    """How its targets are spoken to, in Prometheus's spelling, and what of that cannot be carried."""
    tls = endpoint.tls_config or {}
    carried: dict[str, Any] = {}
    if endpoint.bearer_token_file:
        carried["authorization"] = {"type": "Bearer", "credentials_file": endpoint.bearer_token_file}
    known = {_TLS[key]: value for key, value in tls.items() if key in _TLS}
    if known:
        carried["tls_config"] = known
    return carried, tuple(f"tlsConfig.{key}" for key in tls if key not in _TLS)


def _settings(spec: MonitorSpec, endpoint: EndpointFields) -> dict[str, Any]:
    written = {
        "honor_timestamps": endpoint.honor_timestamps,
        "follow_redirects": endpoint.follow_redirects,
        "sample_limit": spec.sample_limit,
        "label_limit": spec.label_limit,
        "target_limit": spec.target_limit,
    }
    return {key: value for key, value in written.items() if value is not None}
