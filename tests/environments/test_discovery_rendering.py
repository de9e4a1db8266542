"""A Prometheus that discovers its targets: what it is configured with, and that it finds what a list of pods gives."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
import yaml

from harness.clock import wait_until
from harness.environments.kube.discovery import Discovery, serve
from harness.model import PodAddress
from harness.stack import Rendered, Stack, load_stack, render_prometheus
from tests.environments.watched_api import WatchedApi

SHIPPED = Path(__file__).resolve().parents[2] / "fixtures" / "stack"
URL = "http://127.0.0.1:9190/targets"
GROUP = "monitoring.coreos.com/v1"
MANIFESTS = """
apiVersion: monitoring.coreos.com/v1
kind: Prometheus
metadata: {name: p, namespace: mon}
spec:
  serviceMonitorSelector: {}
  serviceMonitorNamespaceSelector: {}
  podMonitorSelector: {}
  podMonitorNamespaceSelector: {}
  podTargetLabels: [zone]
  alerting: {alertmanagers: [{name: alertmanager-operated, port: web}]}
---
apiVersion: monitoring.coreos.com/v1
kind: Alertmanager
metadata: {name: am, namespace: mon}
spec: {replicas: 2}
---
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata: {name: app, namespace: mon}
spec:
  namespaceSelector: {matchNames: [app, other]}
  selector:
    matchExpressions:
      - {key: team.example/name, operator: In, values: [a, b]}
      - {key: hidden, operator: DoesNotExist}
  jobLabel: team.example/name
  targetLabels: [tier]
  endpoints:
    - {port: web, interval: 30s}
    - {targetPort: 8002, path: /more}
---
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata: {name: nothing, namespace: app}
spec: {selector: {matchLabels: {app: none}}, endpoints: [{port: web}]}
---
apiVersion: monitoring.coreos.com/v1
kind: PodMonitor
metadata: {name: pods, namespace: app}
spec: {selector: {matchLabels: {app: app}}, podMetricsEndpoints: [{port: metrics}]}
---
apiVersion: v1
kind: Service
metadata: {name: shown, namespace: app, labels: {team.example/name: a, tier: "1"}}
spec: {selector: {app: app}, ports: [{name: web, port: 80, targetPort: http}]}
---
apiVersion: v1
kind: Service
metadata: {name: hidden, namespace: app, labels: {team.example/name: a, hidden: "yes"}}
spec: {selector: {app: app}, ports: [{name: web, port: 80, targetPort: http}]}
---
apiVersion: v1
kind: Service
metadata: {name: shown, namespace: other, labels: {team.example/name: c}}
spec: {selector: {app: app}, ports: [{name: web, port: 80, targetPort: http}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: app, namespace: app}
spec:
  replicas: 2
  selector: {matchLabels: {app: app}}
  template:
    metadata: {labels: {app: app, zone: z1}}
    spec:
      containers:
        - name: main
          image: app:1
          ports: [{name: http, containerPort: 8000}, {name: metrics, containerPort: 8002}]
        - {name: beside, image: beside:1, ports: [{name: admin, containerPort: 9000}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: app, namespace: other}
spec:
  selector: {matchLabels: {app: app}}
  template:
    metadata: {labels: {app: app}}
    spec: {containers: [{name: main, image: app:1, ports: [{name: http, containerPort: 8000}]}]}
"""


@pytest.fixture
def small(tmp_path: Path) -> Stack:
    folder = tmp_path / "stack"
    folder.mkdir()
    (folder / "all.yaml").write_text(MANIFESTS, encoding="utf-8")
    return load_stack(folder)


def configuration(rendered: Rendered) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(rendered.files["prometheus.yml"])
    return loaded


def write(rendered: Rendered, folder: Path) -> Path:
    for name, content in rendered.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")
    return folder / "prometheus.yml"


@pytest.mark.parametrize("which", ["shipped", "small"])
def test_promtool_takes_a_configuration_that_discovers_over_http(which: str, small: Stack, tmp_path: Path) -> None:
    stack = small if which == "small" else load_stack(SHIPPED)
    path = write(render_prometheus(stack, None, time_scale=60, discovery_url=URL), tmp_path / "config")
    check = ["promtool", "check", "config", "--syntax-only", str(path)]
    done = subprocess.run(check, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr


def asked(part: Mapping[str, Any]) -> tuple[str, list[str]]:
    """The role and namespaces of a discovery over HTTP."""
    (discovery,) = part["http_sd_configs"]
    assert discovery["refresh_interval"] == "1s"
    url = urlsplit(discovery["url"])
    assert f"{url.scheme}://{url.netloc}{url.path}" == URL
    query = parse_qs(url.query)
    assert set(query) <= {"role", "namespace"}
    return query["role"][0], query.get("namespace", [])


def test_each_monitor_looks_where_its_services_or_pods_may_be(small: Stack) -> None:
    rendered = configuration(render_prometheus(small, None, time_scale=60, discovery_url=URL))
    assert {job["job_name"]: asked(job) for job in rendered["scrape_configs"]} == {
        "serviceMonitor/mon/app/0": ("endpoints", ["app"]),
        "serviceMonitor/mon/app/1": ("endpoints", ["app"]),
        # It selects nothing yet, and looks where something may appear.
        "serviceMonitor/app/nothing/0": ("endpoints", ["app"]),
        "podMonitor/app/pods/0": ("pod", ["app"]),
    }
    (alertmanager,) = rendered["alerting"]["alertmanagers"]
    assert asked(alertmanager) == ("endpoints", ["mon"])


def test_a_monitor_of_any_namespace_looks_in_all_of_them(small: Stack) -> None:
    text = MANIFESTS.replace(
        "selector: {matchLabels: {app: app}}, pod", "namespaceSelector: {any: true}, selector: {}, pod"
    )
    (small.root / "all.yaml").write_text(text, encoding="utf-8")
    everywhere = load_stack(small.root)
    rendered = configuration(render_prometheus(everywhere, None, time_scale=60, discovery_url=URL))
    assert asked(rendered["scrape_configs"][-1]) == ("pod", [])
    own = configuration(render_prometheus(everywhere, None, time_scale=60))
    assert own["scrape_configs"][-1]["kubernetes_sd_configs"] == [{"role": "pod"}]


def test_a_prometheus_that_can_discovers_by_itself_and_differs_in_nothing_else(small: Stack) -> None:
    own = configuration(render_prometheus(small, None, time_scale=60))
    over_http = configuration(render_prometheus(small, None, time_scale=60, discovery_url=URL))
    for part in (over_http, own):
        for each in (*part["scrape_configs"], *part["alerting"]["alertmanagers"]):
            assert "static_configs" not in each
    places = [
        *zip(own["scrape_configs"], over_http["scrape_configs"], strict=True),
        *zip(own["alerting"]["alertmanagers"], over_http["alerting"]["alertmanagers"], strict=True),
    ]
    for itself, helped in places:
        role, names = asked(helped)
        helped.pop("http_sd_configs")
        assert itself.pop("kubernetes_sd_configs") == [{"role": role, "namespaces": {"names": names}}]
    assert own == over_http


def test_only_the_named_port_of_the_named_service_gets_alerts(small: Stack) -> None:
    (named,) = configuration(render_prometheus(small, None, time_scale=60))["alerting"]["alertmanagers"]
    rules = {rule["source_labels"][0]: (rule["action"], rule["regex"]) for rule in named["relabel_configs"]}
    assert rules == {
        "__meta_kubernetes_service_name": ("keep", r"alertmanager\-operated"),
        "__meta_kubernetes_endpoint_port_name": ("keep", "web"),
    }
    numbered = MANIFESTS.replace("name: alertmanager-operated, port: web", "name: alertmanager-operated, port: 9093")
    (small.root / "all.yaml").write_text(numbered, encoding="utf-8")
    (one,) = configuration(render_prometheus(load_stack(small.root), None, time_scale=60))["alerting"]["alertmanagers"]
    assert one["relabel_configs"][1]["source_labels"] == ["__meta_kubernetes_pod_container_port_number"]
    assert one["relabel_configs"][1]["regex"] == "9093"


def pods_of(stack: Stack) -> list[PodAddress]:
    """Every pod of a stack, with an address of its own, once for each container."""
    named = [(workload, name) for workload in stack.workloads for name in workload.pod_names()]
    return [
        PodAddress(workload.namespace, name, workload.name, f"127.9.0.{number}", workload.labels, one.ports, one.name)
        for number, (workload, name) in enumerate(named, start=1)
        for one in workload.containers
    ]


def as_kubernetes_has_it(stack: Stack, pods: Sequence[PodAddress]) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """(namespace, kind) → the objects an API server lists for these pods and the stack's Services."""
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    by_name: dict[tuple[str, str], dict[str, Any]] = {}
    for each in pods:
        ports = [{"name": name, "containerPort": number, "protocol": "TCP"} for name, number in each.ports.items()]
        container = {"name": each.container, "image": "i", "ports": ports}
        one = by_name.setdefault(
            (each.namespace, each.name),
            {
                "metadata": {"name": each.name, "namespace": each.namespace, "uid": "u", "labels": dict(each.labels)},
                "spec": {"nodeName": "node", "containers": []},
                "status": {
                    "podIP": each.address,
                    "phase": "Running",
                    "conditions": [{"type": "Ready", "status": "True"}],
                },
            },
        )
        one["spec"]["containers"].append(container)
    for (namespace, _), one in by_name.items():
        found.setdefault((namespace, "pods"), []).append(one)
    for service in stack.services:
        metadata = {"name": service.name, "namespace": service.namespace, "labels": dict(service.labels)}
        behind = [
            one
            for (namespace, _), one in by_name.items()
            if namespace == service.namespace and service.selector.items() <= one["metadata"]["labels"].items()
        ]
        addresses = [{"ip": one["status"]["podIP"], "targetRef": {"kind": "Pod", **one["metadata"]}} for one in behind]
        numbers = {
            port["name"]: port["containerPort"]
            for one in behind
            for container in one["spec"]["containers"]
            for port in container["ports"]
        }
        targets = {port.name: numbers[str(port.target)] for port in service.ports}
        ports = [{"name": name, "port": number, "protocol": "TCP"} for name, number in targets.items()]
        found.setdefault((service.namespace, "services"), []).append({"metadata": metadata})
        subsets = [{"addresses": addresses, "ports": ports}]
        found.setdefault((service.namespace, "endpoints"), []).append({"metadata": metadata, "subsets": subsets})
    return found


@contextmanager
def prometheus(config: Path, flags: Sequence[str]) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        listen = f"127.0.0.1:{probe.getsockname()[1]}"
    data = config.parent / "data"
    argv = ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={data}", f"--web.listen-address={listen}"]
    with (config.parent / "log").open("wb") as log, subprocess.Popen([*argv, *flags], stderr=log) as server:
        try:
            yield f"http://{listen}"
        finally:
            server.kill()


def seen(url: str) -> tuple[dict[tuple[str, str], dict[str, str]], list[str]] | None:
    """The active targets by pool and URL, and where alerts go; None while there are none."""
    try:
        targets = requests.get(f"{url}/api/v1/targets?state=active", timeout=5).json()["data"]["activeTargets"]
        alertmanagers = requests.get(f"{url}/api/v1/alertmanagers", timeout=5).json()["data"]["activeAlertmanagers"]
    except requests.RequestException:
        return None  # it is not ready yet
    found = {(each["scrapePool"], each["scrapeUrl"]): each["labels"] for each in targets}
    assert len(found) == len(targets)
    return (found, sorted(each["url"] for each in alertmanagers)) if targets and alertmanagers else None


@pytest.mark.e2e
def test_a_prometheus_finds_by_discovery_what_it_is_told_of_elsewhere(small: Stack, tmp_path: Path) -> None:
    pods = pods_of(small)
    with ExitStack() as cleanup:
        api = cleanup.enter_context(WatchedApi())
        objects = as_kubernetes_has_it(small, pods)
        for namespace in ("app", "mon"):
            for kind in ("pods", "services", "endpoints"):
                api.lists(f"/api/v1/namespaces/{namespace}/{kind}", *objects[namespace, kind])
        (tmp_path / "token").write_text("t", encoding="utf-8")
        discovery = Discovery(api.url, tmp_path)
        cleanup.callback(discovery.close)
        server = serve(discovery, 0)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        cleanup.callback(server.server_close)
        cleanup.callback(thread.join)
        cleanup.callback(server.shutdown)
        told = render_prometheus(small, pods, time_scale=1)
        discovered = render_prometheus(
            small, None, time_scale=1, discovery_url=f"http://127.0.0.1:{server.server_port}/targets"
        )
        urls = [
            cleanup.enter_context(prometheus(write(rendered, tmp_path / name), rendered.flags))
            for name, rendered in (("told", told), ("discovered", discovered))
        ]
        expected = wait_until(lambda: seen(urls[0]), what="Prometheus knows its pods", timeout_s=30)
        wait_until(
            lambda: seen(urls[1]) == expected,
            what="discovery gives the same",
            timeout_s=30,
            last=lambda: f"{seen(urls[1])}, need {expected}",
        )
    targets, alertmanagers = expected
    assert sorted(where for _, where in targets) == [
        "http://127.9.0.1:8000/metrics",
        "http://127.9.0.1:8002/metrics",
        "http://127.9.0.1:8002/more",
        "http://127.9.0.2:8000/metrics",
        "http://127.9.0.2:8002/metrics",
        "http://127.9.0.2:8002/more",
    ]
    labels = targets["serviceMonitor/mon/app/0", "http://127.9.0.1:8000/metrics"]
    assert labels.pop("instance") == "127.9.0.1:8000"
    assert sorted(f"{name}={value}" for name, value in labels.items()) == [
        *("container=main", "endpoint=web", "job=a", "namespace=app"),
        *("pod=app-0", "service=shown", "tier=1", "zone=z1"),
    ]
    assert len(alertmanagers) == 2
