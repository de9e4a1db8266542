"""The Prometheus operator's custom resources as their authors write them (monitoring.coreos.com)."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field

from harness.stack.manifests import MAX_REPLICAS, ClaimTemplate
from harness.stack.pod_manifests import EmptyDir, Resources
from harness.stack.promql import check_promql
from harness.stack.schema import (
    Duration,
    Fields,
    IntOrString,
    Labels,
    LabelSelector,
    Manifest,
    Name,
    Quantity,
    Reference,
)


def _expression(value: int | str) -> int | str:
    check_promql(str(value))
    return value


class RuleFields(Fields):
    alert: str | None = None
    record: str | None = None
    expr: Annotated[IntOrString, AfterValidator(_expression)]
    for_: Duration | None = Field(default=None, alias="for")
    keep_firing_for: Duration | None = Field(default=None, alias="keep_firing_for")
    labels: Labels = Field(default_factory=dict)
    annotations: Labels = Field(default_factory=dict)


class RuleGroup(Fields):
    name: Name
    interval: Duration | None = None
    limit: int | None = None
    labels: Labels = Field(default_factory=dict)
    rules: list[RuleFields] = Field(default_factory=list)


class RuleSpec(Fields):
    groups: list[RuleGroup] = Field(default_factory=list)


class PrometheusRuleManifest(Manifest):
    """A PrometheusRule."""

    spec: RuleSpec


class Relabeling(Fields):
    source_labels: list[str] | None = None
    separator: str | None = None
    target_label: str | None = None
    regex: str | None = None
    modulus: int | None = None
    replacement: str | None = None
    action: str | None = None


class EndpointFields(Fields):
    port: str = ""
    port_number: int | None = None
    target_port: IntOrString | None = None
    path: str = "/metrics"
    scheme: str = "http"
    interval: Duration | None = None
    scrape_timeout: Duration | None = None
    honor_labels: bool = False
    honor_timestamps: bool | None = None
    follow_redirects: bool | None = None
    filter_running: bool = True
    bearer_token_file: str | None = None
    tls_config: dict[str, Any] | None = None
    params: dict[str, list[str]] = Field(default_factory=dict)
    relabelings: list[Relabeling] = Field(default_factory=list)
    metric_relabelings: list[Relabeling] = Field(default_factory=list)


class NamespaceSelector(Fields):
    any: bool = False
    match_names: list[str] = Field(default_factory=list)


class MonitorSpec(Fields):
    """What ServiceMonitor and PodMonitor share."""

    selector: LabelSelector
    namespace_selector: NamespaceSelector = NamespaceSelector()
    job_label: str = ""
    target_labels: list[str] = Field(default_factory=list)
    pod_target_labels: list[str] = Field(default_factory=list)
    sample_limit: int | None = None
    label_limit: int | None = None
    target_limit: int | None = None


class ServiceMonitorSpec(MonitorSpec):
    endpoints: list[EndpointFields]


class PodMonitorSpec(MonitorSpec):
    pod_metrics_endpoints: list[EndpointFields]


class ServiceMonitorManifest(Manifest):
    """A ServiceMonitor."""

    spec: ServiceMonitorSpec


class PodMonitorManifest(Manifest):
    """A PodMonitor."""

    spec: PodMonitorSpec


class Storage(Fields):
    empty_dir: EmptyDir | None = None
    volume_claim_template: ClaimTemplate | None = None


class PodMetadata(Fields):
    labels: Labels = Field(default_factory=dict)
    annotations: Labels = Field(default_factory=dict)


class OperatedSpec(Fields):
    """What Prometheus and Alertmanager share."""

    replicas: int = Field(default=1, ge=0, le=MAX_REPLICAS)
    image: str | None = None
    storage: Storage = Storage()
    resources: Resources = Resources()
    secrets: list[Name] = Field(default_factory=list)
    config_maps: list[Name] = Field(default_factory=list)
    image_pull_secrets: list[Reference] = Field(default_factory=list)
    pod_metadata: PodMetadata = PodMetadata()
    service_account_name: str = "default"
    port_name: str = "web"
    external_url: str = ""
    route_prefix: str = "/"
    log_level: str = ""
    log_format: str = ""


class AlertmanagerEndpoint(Fields):
    name: Name
    namespace: str | None = None
    port: IntOrString
    scheme: str | None = None
    path_prefix: str | None = None
    timeout: Duration | None = None
    api_version: str | None = None


class Alerting(Fields):
    alertmanagers: list[AlertmanagerEndpoint]


class RuleAlertFlags(Fields):
    for_outage_tolerance: Duration = "1h"
    for_grace_period: Duration = "10m"
    resend_delay: Duration = "1m"


class RuleFlags(Fields):
    alert: RuleAlertFlags = RuleAlertFlags()


class QueryFlags(Fields):
    lookback_delta: Duration = "5m"
    max_concurrency: int | None = None
    max_samples: int | None = None
    timeout: Duration | None = None


class PrometheusSpec(OperatedSpec):
    scrape_interval: Duration = "30s"
    scrape_timeout: Duration | None = None
    evaluation_interval: Duration = "30s"
    retention: Duration | None = None
    retention_size: Quantity | None = None
    enable_admin_api: bool = Field(default=False, alias="enableAdminAPI")
    enable_features: list[str] = Field(default_factory=list)
    external_labels: Labels = Field(default_factory=dict)
    prometheus_external_label_name: str | None = None
    replica_external_label_name: str | None = None
    service_monitor_selector: LabelSelector | None = None
    service_monitor_namespace_selector: LabelSelector | None = None
    pod_monitor_selector: LabelSelector | None = None
    pod_monitor_namespace_selector: LabelSelector | None = None
    rule_selector: LabelSelector | None = None
    rule_namespace_selector: LabelSelector | None = None
    pod_target_labels: list[str] = Field(default_factory=list)
    ignore_namespace_selectors: bool = False
    override_honor_labels: bool = False
    alerting: Alerting | None = None
    rules: RuleFlags = RuleFlags()
    query: QueryFlags = QueryFlags()


class PrometheusManifest(Manifest):
    """A Prometheus."""

    spec: PrometheusSpec
