"""A stack → the configuration of a Prometheus that needs no operator, with time compressed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from harness.clock import format_duration, parse_duration
from harness.model import PodAddress
from harness.stack.discovery import Where, pods_behind, target_port
from harness.stack.left_out import left_out
from harness.stack.objects import Rendered, ScrapeEndpoint, Stack
from harness.stack.operator_manifests import AlertmanagerEndpoint, PrometheusSpec
from harness.stack.promql import compress_promql
from harness.stack.promql_clock import incompressible

# How often Prometheus takes up changed targets by itself, and how often it is asked to at most.
_RELOAD_S, _MIN_RELOAD_S = 5.0, 0.5
_UNSCRAPED = "nothing is scraped, its Services select no pods and only a cluster has what is behind them"


def render_prometheus(
    stack: Stack, pods: Sequence[PodAddress] | None, *, time_scale: float, discovery_url: str | None = None
) -> Rendered:
    """``prometheus.yml``, the rule files beside it under ``rules/``, and the flags that carry durations.

    Paths are relative to the configuration, which may therefore lie anywhere. The targets are the ``pods``, with
    the labels discovery would give them; with None, Prometheus discovers them through the Kubernetes API it runs
    on, or where it is built without that, through ``discovery_url``. All go through the operator's own relabeling.
    Intervals, rules and flags are divided by ``time_scale``. A scrape's timeout is not: it bounds real work that gets
    no faster, so it is the original one, or the compressed interval where that is shorter. Retention stands in the
    workload's arguments, uncompressed. Raises ValueError when the time scale is not above zero.
    """
    if not time_scale > 0:
        raise ValueError(f"the time scale is {time_scale:g}, need a number above 0")
    spec = PrometheusSpec.model_validate(stack.prometheus)
    where = Where(pods, discovery_url)
    rules, rule_notes = _rule_files(stack, time_scale)
    interval_s = parse_duration(spec.scrape_interval)
    timeout_s = parse_duration(spec.scrape_timeout) if spec.scrape_timeout else 10.0
    configuration: dict[str, Any] = {
        "global": {
            "scrape_interval": compressed(interval_s, time_scale),
            "scrape_timeout": _timeout(timeout_s, interval_s, time_scale),
            "evaluation_interval": compressed(parse_duration(spec.evaluation_interval), time_scale),
        },
        "rule_files": sorted(rules),
        "scrape_configs": [_scrape(endpoint, where, time_scale) for endpoint in stack.endpoints],
    }
    labels = dict(stack.spec.external_labels)
    if labels:
        configuration["global"]["external_labels"] = labels
    if spec.alerting is not None:
        configuration["alerting"] = _alerting(stack, spec, where)
    return Rendered(
        files={"prometheus.yml": write_yaml(configuration), **rules},
        flags=(*_flags(spec, time_scale), *(_discovery_flags(time_scale) if pods is None else ())),
        notes=(*rule_notes, *_notes(stack, spec, where)),
    )


def compressed(seconds: float, time_scale: float) -> str:
    """A duration divided by the time scale; zero stays zero, anything else is at least 1ms."""
    return format_duration(max(0.001, seconds / time_scale) if seconds else 0.0)


def write_yaml(value: Any) -> str:
    """A configuration as YAML, keys in their order, nothing shortened to an alias."""
    return yaml.dump(value, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=120)


class _Plain(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _timeout(timeout_s: float, interval_s: float, time_scale: float) -> str:
    return format_duration(min(timeout_s, max(0.001, interval_s / time_scale)))


def _flags(spec: PrometheusSpec, time_scale: float) -> tuple[str, ...]:
    alert = spec.rules.alert
    durations = {
        "query.lookback-delta": spec.query.lookback_delta,
        "rules.alert.resend-delay": alert.resend_delay,
        "rules.alert.for-outage-tolerance": alert.for_outage_tolerance,
        "rules.alert.for-grace-period": alert.for_grace_period,
    }
    return tuple(f"--{flag}={compressed(parse_duration(text), time_scale)}" for flag, text in durations.items())


def _discovery_flags(time_scale: float) -> tuple[str, ...]:
    """Prometheus takes up what it discovered every 5 s, in two steps of which only the second can be told another time
    (discovery/manager.go, ``updatert``; cmd/prometheus, a flag that --help does not show, in 2.42 and in 3.5).

    Compressed time makes of ten seconds ten minutes, in which a target that is gone counts as one that is down.
    """
    return (f"--scrape.discovery-reload-interval={format_duration(max(_MIN_RELOAD_S, _RELOAD_S / time_scale))}",)


def _scrape(endpoint: ScrapeEndpoint, where: Where, time_scale: float) -> dict[str, Any]:
    written: dict[str, Any] = {
        "job_name": endpoint.job,
        "scrape_interval": compressed(endpoint.interval_s, time_scale),
        "scrape_timeout": _timeout(endpoint.timeout_s, endpoint.interval_s, time_scale),
        "metrics_path": endpoint.path,
        "scheme": endpoint.scheme,
        "honor_labels": endpoint.honor_labels,
        **(endpoint.connection if where.in_cluster else {}),
        **endpoint.settings,
    }
    if endpoint.params:
        written["params"] = {key: list(values) for key, values in endpoint.params.items()}
    written |= where.targets(endpoint)
    written["relabel_configs"] = [dict(rule) for rule in endpoint.relabelings]
    if endpoint.metric_relabelings:
        written["metric_relabel_configs"] = [dict(rule) for rule in endpoint.metric_relabelings]
    return written


def _alerting(stack: Stack, spec: PrometheusSpec, where: Where) -> dict[str, Any]:
    assert spec.alerting is not None
    written = [_alertmanager(stack, endpoint, where) for endpoint in spec.alerting.alertmanagers]
    return {"alertmanagers": written}


def _alertmanager(stack: Stack, endpoint: AlertmanagerEndpoint, where: Where) -> dict[str, Any]:
    namespace = endpoint.namespace or stack.prometheus_name[0]
    pods = where.pods
    if pods is None:
        return {**_discovered_alertmanagers(endpoint, namespace, where), **_connection(endpoint)}
    service = next((one for one in stack.services if (one.namespace, one.name) == (namespace, endpoint.name)), None)
    addresses: list[str] = []
    for port in service.ports if service else ():
        for pod in pods_behind(service, pods) if service else ():
            number = target_port(port, pod)
            if number is not None and endpoint.port in (port.name, number):
                addresses.append(f"{pod.address}:{number}")
    return {"static_configs": [{"targets": list(dict.fromkeys(addresses))}], **_connection(endpoint)}


def _connection(endpoint: AlertmanagerEndpoint) -> dict[str, Any]:
    written = {
        "scheme": endpoint.scheme.lower() if endpoint.scheme else None,
        "path_prefix": endpoint.path_prefix,
        "timeout": endpoint.timeout,
        # Alertmanager has no v1 since 0.27, and Prometheus 3 refuses to start with it; all supported versions speak v2.
        "api_version": "v2" if endpoint.api_version else None,
    }
    return {key: value for key, value in written.items() if value is not None}


def _discovered_alertmanagers(endpoint: AlertmanagerEndpoint, namespace: str, where: Where) -> dict[str, Any]:
    """The operator's own discovery of Alertmanagers: the endpoints of one port of one Service.

    Source: prometheus-operator, ``generateAlertmanagerConfig``.
    """
    port = str(endpoint.port)
    by_number = port.isdigit()
    label = "__meta_kubernetes_pod_container_port_number" if by_number else "__meta_kubernetes_endpoint_port_name"
    keep = {"__meta_kubernetes_service_name": endpoint.name, label: port}
    return {
        **where.discovery("endpoints", (namespace,)),
        "relabel_configs": [
            {"action": "keep", "source_labels": [source], "regex": re.escape(value)} for source, value in keep.items()
        ],
    }


def _rule_files(stack: Stack, time_scale: float) -> tuple[dict[str, str], list[str]]:
    """One file a group, as groups of two PrometheusRules may share a name; the number keeps their order."""
    files: dict[str, str] = {}
    notes: list[str] = []
    for number, group in enumerate(stack.rule_groups, start=1):
        written = {**group, "rules": [_rule(rule, time_scale, notes) for rule in group["rules"]]}
        if "interval" in group:
            written["interval"] = compressed(parse_duration(group["interval"]), time_scale)
        stem = re.sub(r"[^A-Za-z0-9._-]", "_", group["name"])
        files[f"rules/{number:03d}-{stem}.yml"] = write_yaml({"groups": [written]})
    return files, notes


def _rule(rule: Mapping[str, Any], time_scale: float, notes: list[str]) -> dict[str, Any]:
    name = rule.get("alert") or rule.get("record")
    written = {**rule, "expr": compress_promql(rule["expr"], time_scale)}
    for key in ("for", "keep_firing_for"):
        if key in rule:
            written[key] = compressed(parse_duration(rule[key]), time_scale)
    reasons = incompressible(rule["expr"])
    if reasons and time_scale != 1:
        notes.append(f"rule {name}: cannot be compressed safely, it {'; '.join(reasons)}")
    return written


def _notes(stack: Stack, spec: PrometheusSpec, where: Where) -> list[str]:
    namespace, name = stack.prometheus_name
    notes = [f"{one.where}: {key} is left out" for one in stack.endpoints for key in _left_out(one, where)]
    notes += [f"{one.where}: {_UNSCRAPED}" for one in stack.endpoints if not where.in_cluster and _is_of_no_pods(one)]
    unused = left_out(stack.prometheus, PrometheusSpec, in_cluster=where.in_cluster)
    notes += [f"Prometheus/{name}: {key} is left out" for key in unused]
    if spec.prometheus_external_label_name is None:
        notes.append(
            f'Prometheus/{name}: the external label prometheus="{namespace}/{name}" of the operator is left out'
        )
    if spec.replica_external_label_name != "":
        notes.append(f"Prometheus/{name}: the replica's external label the operator adds is left out")
    for endpoint in spec.alerting.alertmanagers if spec.alerting else ():
        if endpoint.api_version and endpoint.api_version.lower() == "v1":
            why = "Alertmanager has no v1 since 0.27"
            notes.append(f"Prometheus/{name}: alerts go to {endpoint.name} by API v2 instead of v1: {why}")
        home = endpoint.namespace or namespace
        if not any((one.namespace, one.name) == (home, endpoint.name) for one in stack.services):
            notes.append(f"Prometheus/{name}: alerts go to the Service {endpoint.name} in {home}, which does not exist")
    return notes


def _is_of_no_pods(endpoint: ScrapeEndpoint) -> bool:
    """Whether only a cluster has what it is about, such as kubelets and API servers."""
    return bool(endpoint.services) and not any(service.selector for service in endpoint.services)


def _left_out(endpoint: ScrapeEndpoint, where: Where) -> tuple[str, ...]:
    """What of an endpoint is not carried. The files a connection names lie in a pod: outside of a cluster none has
    them."""
    written = {"authorization": "bearerTokenFile", "tls_config": "tlsConfig"}
    missing = () if where.in_cluster else tuple(written[key] for key in endpoint.connection)
    return (*missing, *endpoint.left_out)
