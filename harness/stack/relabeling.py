"""The relabeling the operator generates for a monitor's endpoint, in Prometheus's spelling.

Source of rules and order: prometheus-operator, ``generateServiceMonitorConfig`` and
``generatePodMonitorConfig``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from harness.stack.operator_manifests import EndpointFields, MonitorSpec, Relabeling
from harness.stack.schema import LabelSelector

Rule = Mapping[str, Any]
_PHASE: Rule = {
    "action": "drop",
    "source_labels": ["__meta_kubernetes_pod_phase"],
    "regex": "(Failed|Succeeded)",
}
_JOB_NAME: Rule = {"source_labels": ["job"], "target_label": "__tmp_prometheus_job_name"}


def label_name(text: str) -> str:
    """A Kubernetes label's name as discovery writes it: what no metric label may hold becomes ``_``."""
    return re.sub(r"[^a-zA-Z0-9_]", "_", text)


def service_relabeling(
    spec: MonitorSpec, endpoint: EndpointFields, further_pod_labels: Sequence[str]
) -> tuple[Rule, ...]:
    """What turns a discovered endpoint of a Service into a target, the monitor's own rules last."""
    kind = [
        "__meta_kubernetes_endpoint_address_target_kind",
        "__meta_kubernetes_endpoint_address_target_name",
    ]
    rules = [
        _JOB_NAME,
        *_selection("service", spec.selector),
        *_port("__meta_kubernetes_endpoint_port_name", endpoint),
    ]
    for name in ("Node", "Pod"):
        regex = f"{name};(.*)"
        rules.append(
            {
                "source_labels": kind,
                "separator": ";",
                "regex": regex,
                "replacement": "${1}",
                "target_label": name.lower(),
            }
        )
    rules += [
        _copy("namespace", "namespace"),
        _copy("service_name", "service"),
        _copy("pod_name", "pod"),
        _copy("pod_container_name", "container"),
    ]
    rules += [_PHASE] if endpoint.filter_running else []
    rules += _carried("service", spec.target_labels)
    rules += _carried("pod", [*spec.pod_target_labels, *further_pod_labels])
    rules.append({**_copy("service_name", "job"), "replacement": "${1}"})
    rules += _carried("service", [spec.job_label], target="job") if spec.job_label else []
    return (*rules, *_endpoint_label(endpoint), *map(own_rule, endpoint.relabelings))


def pod_relabeling(spec: MonitorSpec, endpoint: EndpointFields, further: Sequence[str], job: str) -> tuple[Rule, ...]:
    """What turns a discovered pod into a target; ``job`` is the job's name where no label gives one."""
    rules = [_JOB_NAME, *([_PHASE] if endpoint.filter_running else []), *_selection("pod", spec.selector)]
    rules += _port("__meta_kubernetes_pod_container_port_name", endpoint)
    rules += [
        _copy("namespace", "namespace"),
        _copy("pod_container_name", "container"),
        _copy("pod_name", "pod"),
    ]
    rules += _carried("pod", [*spec.pod_target_labels, *further])
    rules.append({"target_label": "job", "replacement": job})
    rules += _carried("pod", [spec.job_label], target="job") if spec.job_label else []
    return (*rules, *_endpoint_label(endpoint), *map(own_rule, endpoint.relabelings))


def own_rule(rule: Relabeling) -> Rule:
    """A monitor's own relabeling as Prometheus spells it; the action in lower case, as the operator writes
    it.
    """
    written = {
        "source_labels": rule.source_labels,
        "separator": rule.separator,
        "target_label": rule.target_label,
        "regex": rule.regex,
        "modulus": rule.modulus,
        "replacement": rule.replacement,
        "action": rule.action.lower() if rule.action else None,
    }
    return {key: value for key, value in written.items() if value is not None}


def _selection(kind: str, selector: LabelSelector) -> list[Rule]:
    rules: list[Rule] = []
    for key in sorted(selector.match_labels):
        rules.append(_valued(kind, key, "keep", [selector.match_labels[key]]))
    for requirement in selector.match_expressions:
        action = "keep" if requirement.operator in ("In", "Exists") else "drop"
        if requirement.operator in ("In", "NotIn"):
            rules.append(_valued(kind, requirement.key, action, requirement.values))
        else:
            present = f"__meta_kubernetes_{kind}_labelpresent_{label_name(requirement.key)}"
            rules.append({"action": action, "source_labels": [present], "regex": "true"})
    return rules


def _valued(kind: str, key: str, action: str, values: Sequence[str]) -> Rule:
    name = label_name(key)
    sources = [f"__meta_kubernetes_{kind}_label_{name}", f"__meta_kubernetes_{kind}_labelpresent_{name}"]
    return {"action": action, "source_labels": sources, "regex": f"({'|'.join(values)});true"}


def _port(name_label: str, endpoint: EndpointFields) -> list[Rule]:
    if endpoint.port:
        return [{"action": "keep", "source_labels": [name_label], "regex": endpoint.port}]
    wanted = endpoint.port_number if endpoint.port_number is not None else endpoint.target_port
    if wanted is None:
        return []
    label = "name" if isinstance(wanted, str) else "number"
    source = f"__meta_kubernetes_pod_container_port_{label}"
    return [{"action": "keep", "source_labels": [source], "regex": str(wanted)}]


def _endpoint_label(endpoint: EndpointFields) -> list[Rule]:
    value = endpoint.port or ("" if endpoint.target_port is None else str(endpoint.target_port))
    return [{"target_label": "endpoint", "replacement": value}] if value else []


def _copy(meta: str, target: str) -> Rule:
    return {"source_labels": [f"__meta_kubernetes_{meta}"], "target_label": target}


def _carried(kind: str, labels: Sequence[str], target: str | None = None) -> list[Rule]:
    return [
        {
            "source_labels": [f"__meta_kubernetes_{kind}_label_{label_name(label)}"],
            "target_label": target or label_name(label),
            "regex": "(.+)",
            "replacement": "${1}",
        }
        for label in labels
    ]
