"""A directory of manifests → a Stack, with every mistake of it at once."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.clock import parse_duration
from harness.errors import InputError, Mistake
from harness.spec import Spec
from harness.stack.alertmanager_config import read_alertmanager_config
from harness.stack.alertmanager_manifests import AlertmanagerManifest
from harness.stack.dashboards import read_panels
from harness.stack.documents import Document, read_documents
from harness.stack.inventory import Found, Inventory, take_inventory
from harness.stack.manifests import ConfigMapManifest
from harness.stack.monitors import read_endpoints
from harness.stack.objects import Service, Stack, Workload
from harness.stack.operated import alertmanager_peers, alertmanager_workload, operated_services, prometheus_workload
from harness.stack.operator_manifests import PrometheusManifest
from harness.stack.receivers import Network
from harness.stack.routing import read_routing
from harness.stack.rules import alert_specs, read_rule_groups
from harness.stack.workloads import probes_left_out, read_services, read_workloads


def load_stack(root: Path, *further: Path) -> Stack:
    """The stack a directory's manifests describe, its selectors resolved as the operator resolves them.

    ``further``: directories whose manifests are added, as a cluster's own are to those that fit anywhere.
    Raises InputError with every mistake found in any file.
    """
    mistakes: list[Mistake] = []
    documents, sha256 = _documents((root, *further), mistakes)
    inventory = take_inventory(documents, mistakes)
    prometheus = _the_prometheus(inventory, root, mistakes)
    alertmanager = _the_alertmanager(inventory, mistakes)
    written = read_workloads(inventory, mistakes)
    dashboards = _dashboards(inventory, mistakes)
    if prometheus is None:
        raise InputError(mistakes)
    workloads = (*written, *_operated(prometheus, alertmanager))
    services = _services(inventory, workloads)
    endpoints, unselected = read_endpoints(prometheus, inventory, services, mistakes)
    groups, refused = read_rule_groups(prometheus, inventory, mistakes)
    configuration, refused_configurations = _configuration(alertmanager, inventory, mistakes)
    place = (alertmanager or prometheus).place.at("alertmanager.yaml")
    network = Network.of(services, workloads)
    route, receivers, inhibitions = read_routing(configuration, network, place, mistakes)
    if mistakes:
        raise InputError(mistakes)
    evaluation_s = parse_duration(prometheus.manifest.spec.evaluation_interval)
    return Stack(
        root=root,
        sha256=sha256,
        workloads=workloads,
        services=services,
        endpoints=endpoints,
        spec=Spec(
            alert_specs(groups, endpoints, evaluation_s),
            route,
            receivers,
            inhibitions,
            external_labels=_external_labels(prometheus),
            resend_delay_s=parse_duration(prometheus.manifest.spec.rules.alert.resend_delay),
            peers=alertmanager_peers(alertmanager) if alertmanager else None,
            panels=read_panels(dashboards, parse_duration(prometheus.manifest.spec.scrape_interval)),
        ),
        unselected=(*unselected, *refused, *refused_configurations, *inventory.hooks),
        ignored=(*inventory.ignored(), *probes_left_out(inventory)),
        dashboards=dashboards,
        prometheus=prometheus.raw["spec"],
        alertmanager=alertmanager.raw["spec"] if alertmanager else {},
        prometheus_name=prometheus.key,
        alertmanager_name=alertmanager.key if alertmanager else None,
        rule_groups=groups,
        alertmanager_config=configuration,
        further_roots=further,
        documents=tuple(found.raw for found in inventory.all),
    )


def _documents(roots: Sequence[Path], mistakes: list[Mistake]) -> tuple[list[Document], str]:
    """The objects of all directories, and the digest over them; of one directory its own."""
    read = [read_documents(root, mistakes) for root in roots]
    digests = [digest for _, digest in read]
    whole = digests[0] if len(read) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
    return [document for documents, _ in read for document in documents], whole


def load_stack_of(path: str) -> Stack:
    """The stack of directories written as one text, as ``Stack.path`` gives it. Raises InputError."""
    roots = [Path(part) for part in path.split(os.pathsep)]
    return load_stack(*roots)


def _configuration(
    alertmanager: Found[AlertmanagerManifest] | None, inventory: Inventory, mistakes: list[Mistake]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    return ({}, ()) if alertmanager is None else read_alertmanager_config(alertmanager, inventory, mistakes)


def _the_prometheus(inventory: Inventory, root: Path, mistakes: list[Mistake]) -> Found[PrometheusManifest] | None:
    found = inventory.of(PrometheusManifest)
    if not found:
        if "Prometheus" not in inventory.wrong:
            mistakes.append(Mistake(root, "", "holds no Prometheus object (monitoring.coreos.com), need one"))
        return None
    for further in found[1:]:
        mistakes.append(
            further.place.mistake(f"{further.title} is a second Prometheus beside {found[0].title}, need one")
        )
    return found[0]


def _the_alertmanager(inventory: Inventory, mistakes: list[Mistake]) -> Found[AlertmanagerManifest] | None:
    found = inventory.of(AlertmanagerManifest)
    for further in found[1:]:
        problem = f"{further.title} is a second Alertmanager beside {found[0].title}, need one at most"
        mistakes.append(further.place.mistake(problem))
    return found[0] if found else None


def _operated(
    prometheus: Found[PrometheusManifest], alertmanager: Found[AlertmanagerManifest] | None
) -> tuple[Workload, ...]:
    return (prometheus_workload(prometheus), *([alertmanager_workload(alertmanager)] if alertmanager else ()))


def _services(inventory: Inventory, workloads: Sequence[Workload]) -> tuple[Service, ...]:
    written = read_services(inventory)
    names = {(service.namespace, service.name) for service in written}
    made = [service for workload in workloads if workload.operated for service in operated_services(workload)]
    return (*written, *(service for service in made if (service.namespace, service.name) not in names))


def _dashboards(inventory: Inventory, mistakes: list[Mistake]) -> Mapping[str, Mapping[str, Any]]:
    """Grafana's dashboards: those in files of their own, and the JSON entries of ConfigMaps labelled for
    its sidecar.
    """
    found = dict(inventory.dashboards)
    for config_map in inventory.of(ConfigMapManifest):
        if "grafana_dashboard" not in config_map.manifest.metadata.labels:
            continue
        for key, text in config_map.manifest.data.items():
            place = config_map.place.at("data", key)
            try:
                content = json.loads(text)
            except json.JSONDecodeError as error:
                mistakes.append(place.mistake(f"line {error.lineno}: is not JSON: {error.msg}"))
                continue
            if not isinstance(content, dict):
                mistakes.append(place.mistake("is no Grafana dashboard: need a JSON object"))
                continue
            found[key.removesuffix(".json")] = content
    return found


def _external_labels(prometheus: Found[PrometheusManifest]) -> dict[str, str]:
    """Those the object states; the operator's own defaults are left out, as the rendering notes."""
    spec = prometheus.manifest.spec
    labels = dict(spec.external_labels)
    if spec.prometheus_external_label_name:
        labels[spec.prometheus_external_label_name] = "/".join(prometheus.key)
    return labels
