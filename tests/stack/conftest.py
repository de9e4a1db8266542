"""A small stack as a list of manifests, and the way to write it into a directory and load it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.model import PodAddress
from harness.stack import Stack, load_stack

SHIPPED = Path(__file__).parents[2] / "fixtures" / "stack"
GROUP = "monitoring.coreos.com/v1"


def manifest(kind: str, name: str, *, namespace: str = "mon", api: str = GROUP, **more: Any) -> dict[str, Any]:
    labels = more.pop("labels", {"team": "a"})
    return {
        "apiVersion": api,
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        **more,
    }


def small_stack() -> list[dict[str, Any]]:
    """One app with a Service, monitored; one rule; two Alertmanagers that deliver to a Service of the stack."""
    team = {"matchLabels": {"team": "a"}}
    return [
        manifest(
            "Prometheus",
            "p",
            spec={
                "serviceMonitorSelector": team,
                "podMonitorSelector": team,
                "ruleSelector": team,
                "alerting": {"alertmanagers": [{"name": "alertmanager-operated", "port": "web"}]},
            },
        ),
        manifest("Alertmanager", "am", spec={"replicas": 2, "alertmanagerConfigSelector": team}),
        manifest(
            "AlertmanagerConfig",
            "routes",
            spec={
                "route": {"receiver": "hook", "groupWait": "1m", "groupBy": ["alertname"]},
                "receivers": [{"name": "hook", "webhookConfigs": [{"url": "http://sink.mon.svc:8080/x"}]}],
            },
        ),
        manifest(
            "PrometheusRule",
            "rules",
            spec={"groups": [{"name": "g", "rules": [{"alert": "A", "expr": "rate(x[5m]) > 1", "for": "1m"}]}]},
        ),
        manifest(
            "ServiceMonitor",
            "app",
            spec={
                "selector": {"matchLabels": {"app": "app"}},
                "jobLabel": "team",
                "endpoints": [
                    {
                        "port": "web",
                        "interval": "1m",
                        "scrapeTimeout": "20s",
                        "relabelings": [{"sourceLabels": ["__meta_kubernetes_pod_name"], "targetLabel": "instance"}],
                    }
                ],
            },
        ),
        manifest(
            "Service",
            "app",
            api="v1",
            labels={"app": "app", "team": "a"},
            spec={"selector": {"app": "app"}, "ports": [{"name": "web", "port": 80, "targetPort": "http"}]},
        ),
        manifest(
            "Service",
            "sink",
            api="v1",
            labels={},
            spec={"selector": {"app": "sink"}, "ports": [{"port": 8080}]},
        ),
        manifest(
            "Deployment",
            "app",
            api="apps/v1",
            spec={
                "replicas": 2,
                "selector": {"matchLabels": {"app": "app"}},
                "template": {
                    "metadata": {"labels": {"app": "app"}},
                    "spec": {
                        "containers": [
                            {
                                "name": "main",
                                "image": "app:1",
                                "ports": [{"name": "http", "containerPort": 8000}],
                            }
                        ]
                    },
                },
            },
        ),
    ]


Load = Callable[..., Stack]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Loads the small stack after a change: ``load(change)``, where ``change`` gets the manifests by ``Kind/name``."""

    def loaded(change: Callable[[dict[str, dict[str, Any]]], None] | None = None) -> Stack:
        by_name = {f"{one['kind']}/{one['metadata']['name']}": one for one in copy.deepcopy(small_stack())}
        if change is not None:
            change(by_name)
        (tmp_path / "stack.yaml").write_text(yaml.safe_dump_all(by_name.values(), sort_keys=False))
        return load_stack(tmp_path)

    return loaded


@pytest.fixture(scope="session")
def shipped() -> Stack:
    return load_stack(SHIPPED)


def pods_of(stack: Stack) -> list[PodAddress]:
    """Every pod of a stack, each with an address of its own."""
    named = [(workload, name) for workload in stack.workloads for name in workload.pod_names()]
    return [
        PodAddress(workload.namespace, name, workload.name, f"127.9.0.{number}", workload.labels, one.ports, one.name)
        for number, (workload, name) in enumerate(named, start=1)
        for one in workload.containers
    ]


@pytest.fixture
def addresses() -> Callable[[Stack], list[PodAddress]]:
    return pods_of


@pytest.fixture
def make() -> Callable[..., dict[str, Any]]:
    return manifest
