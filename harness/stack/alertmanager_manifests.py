"""Alertmanager and AlertmanagerConfig as their authors write them (monitoring.coreos.com)."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from harness.stack.operator_manifests import OperatedSpec
from harness.stack.schema import Duration, Fields, KeyReference, LabelSelector, Manifest, Name


class MatcherStrategy(Fields):
    type: Literal["OnNamespace", "OnNamespaceExceptForAlertmanagerNamespace", "None"] = "OnNamespace"


class GlobalConfiguration(Fields):
    name: Name
    global_: dict[str, Any] = Field(default_factory=dict, alias="global")


class AlertmanagerSpec(OperatedSpec):
    retention: Duration = "120h"
    config_secret: str | None = None
    alertmanager_config_selector: LabelSelector | None = None
    alertmanager_config_namespace_selector: LabelSelector | None = None
    alertmanager_config_matcher_strategy: MatcherStrategy = MatcherStrategy()
    alertmanager_configuration: GlobalConfiguration | None = None
    force_enable_cluster_mode: bool = False
    cluster_gossip_interval: Duration = "200ms"
    cluster_pushpull_interval: Duration = "1m"
    cluster_peer_timeout: Duration = "15s"


class AlertmanagerManifest(Manifest):
    """An Alertmanager."""

    spec: AlertmanagerSpec


class MatcherFields(Fields):
    name: Name
    value: str = ""
    match_type: Literal["=", "!=", "=~", "!~"] | None = None
    regex: bool = False


class RouteFields(Fields):
    receiver: str = ""
    group_by: list[str] = Field(default_factory=list)
    group_wait: Duration | None = None
    group_interval: Duration | None = None
    repeat_interval: Duration | None = None
    matchers: list[MatcherFields] = Field(default_factory=list)
    continue_: bool = Field(default=False, alias="continue")
    routes: list[RouteFields] = Field(default_factory=list)
    mute_time_intervals: list[str] = Field(default_factory=list)
    active_time_intervals: list[str] = Field(default_factory=list)


class WebhookFields(Fields):
    url: str | None = None
    url_secret: KeyReference | None = None
    send_resolved: bool | None = None
    max_alerts: int | None = None


class ReceiverFields(Fields):
    """A receiver; integrations other than webhooks stay as written, since they always leave the machine."""

    name: Name
    webhook_configs: list[WebhookFields] = Field(default_factory=list)


class InhibitFields(Fields):
    source_match: list[MatcherFields] = Field(default_factory=list)
    target_match: list[MatcherFields] = Field(default_factory=list)
    equal: list[str] = Field(default_factory=list)


class AlertmanagerConfigSpec(Fields):
    route: RouteFields | None = None
    receivers: list[ReceiverFields] = Field(default_factory=list)
    inhibit_rules: list[InhibitFields] = Field(default_factory=list)
    mute_time_intervals: list[dict[str, Any]] = Field(default_factory=list)
    time_intervals: list[dict[str, Any]] = Field(default_factory=list)


class AlertmanagerConfigManifest(Manifest):
    """An AlertmanagerConfig, v1alpha1 or v1beta1."""

    spec: AlertmanagerConfigSpec
