"""Rendered Prometheus configuration: what promtool takes, the operator's labels, compressed time."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.stack import Rendered, Stack, render_prometheus


def write(rendered: Rendered, root: Path) -> None:
    for name, content in rendered.files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)


def configuration(rendered: Rendered) -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load(rendered.files["prometheus.yml"])
    return read


@pytest.mark.parametrize("scale", [1, 60, 1000])
def test_promtool_takes_all_that_is_rendered(shipped: Stack, addresses: Any, tmp_path: Path, scale: float) -> None:
    write(render_prometheus(shipped, addresses(shipped), time_scale=scale), tmp_path / "any where")
    check = ["promtool", "check", "config", str(tmp_path / "any where" / "prometheus.yml")]
    done = subprocess.run(check, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert "3 rule files found" in done.stdout


def test_promtool_refuses_a_rule_file_that_is_broken(shipped: Stack, addresses: Any, tmp_path: Path) -> None:
    write(render_prometheus(shipped, addresses(shipped), time_scale=60), tmp_path)
    next((tmp_path / "rules").iterdir()).write_text("groups: [{name: g, rules: [{alert: A, expr: 'x['}]}]")
    check = ["promtool", "check", "config", str(tmp_path / "prometheus.yml")]
    assert subprocess.run(check, capture_output=True, timeout=30).returncode != 0


def test_intervals_shrink_and_a_timeout_only_to_its_interval(load: Any) -> None:
    def scrape(scale: float) -> tuple[str, str]:
        job = configuration(render_prometheus(load(), [], time_scale=scale))["scrape_configs"][0]
        return job["scrape_interval"], job["scrape_timeout"]

    assert scrape(1) == ("1m", "20s")
    assert scrape(2) == ("30s", "20s")
    assert scrape(60) == ("1s", "1s")


def test_rules_and_flags_shrink_but_thresholds_and_retention_do_not(load: Any) -> None:
    rendered = render_prometheus(load(), [], time_scale=60)
    rule = yaml.safe_load(rendered.files["rules/001-g.yml"])["groups"][0]["rules"][0]
    assert rule == {"alert": "A", "expr": "rate(x[5s]) > 1", "for": "1s"}
    assert "--query.lookback-delta=5s" in rendered.flags
    assert "--rules.alert.for-grace-period=10s" in rendered.flags
    assert not any("retention" in flag for flag in rendered.flags)


def test_where_targets_are_discovered_they_are_taken_up_sooner_in_compressed_time(load: Any) -> None:
    def flags(scale: float, pods: Any = None) -> list[str]:
        flags = render_prometheus(load(), pods, time_scale=scale).flags
        return [flag for flag in flags if "discovery" in flag]

    assert flags(1) == ["--scrape.discovery-reload-interval=5s"]
    assert flags(2) == ["--scrape.discovery-reload-interval=2s500ms"]
    assert flags(60) == ["--scrape.discovery-reload-interval=500ms"]
    assert flags(60, []) == []


def test_a_target_carries_discoverys_labels_and_the_operators_relabeling(load: Any, addresses: Any) -> None:
    stack = load()
    job = configuration(render_prometheus(stack, addresses(stack), time_scale=60))["scrape_configs"][0]
    assert [target["targets"] for target in job["static_configs"]] == [["127.9.0.1:8000"], ["127.9.0.2:8000"]]
    labels = job["static_configs"][0]["labels"]
    assert labels["__meta_kubernetes_endpoint_port_name"] == "web"
    assert labels["__meta_kubernetes_pod_container_port_name"] == "http"
    assert labels["__meta_kubernetes_service_label_app"] == "app"
    written = [rule.get("target_label") for rule in job["relabel_configs"]]
    expected = ["namespace", "service", "pod", "container", "job", "job", "endpoint", "instance"]
    assert [label for label in written if label in expected][-len(expected) :] == expected


def test_a_pod_no_service_selects_is_no_target(load: Any, addresses: Any) -> None:
    def change(found: dict[str, Any]) -> None:
        found["Service/app"]["spec"]["selector"] = {"app": "other"}

    stack = load(change)
    job = configuration(render_prometheus(stack, addresses(stack), time_scale=60))["scrape_configs"][0]
    assert job["static_configs"] == []


def test_alerts_go_to_every_pod_of_the_named_alertmanager(load: Any, addresses: Any) -> None:
    stack = load()
    pods = addresses(stack)
    alerting = configuration(render_prometheus(stack, pods, time_scale=60))["alerting"]["alertmanagers"][0]
    expected = [f"{pod.address}:9093" for pod in pods if pod.workload == "alertmanager-am"]
    assert len(expected) == 2
    assert alerting["static_configs"] == [{"targets": expected}]


def test_an_alertmanager_that_does_not_exist_is_noted(load: Any) -> None:
    def change(found: dict[str, Any]) -> None:
        found["Prometheus/p"]["spec"]["alerting"]["alertmanagers"][0]["name"] = "gone"

    assert any("gone" in note for note in render_prometheus(load(change), [], time_scale=60).notes)
    assert not any("gone" in note for note in render_prometheus(load(), [], time_scale=60).notes)


@pytest.mark.parametrize(("asked", "written"), [(None, None), ("v2", "v2"), ("V2", "v2"), ("v1", "v2")])
def test_alerts_go_by_the_api_every_supported_version_speaks(load: Any, asked: str | None, written: str | None) -> None:
    def change(found: Any) -> None:
        found["Prometheus/p"]["spec"]["alerting"]["alertmanagers"][0]["apiVersion"] = asked

    rendered = render_prometheus(load(change), [], time_scale=60)
    assert configuration(rendered)["alerting"]["alertmanagers"][0].get("api_version") == written
    assert any("by API v2 instead of v1" in note for note in rendered.notes) is (asked == "v1")


def test_an_alert_that_keeps_firing_does_so_for_its_time_compressed(load: Any) -> None:
    def change(found: dict[str, Any]) -> None:
        found["PrometheusRule/rules"]["spec"]["groups"][0]["rules"][0]["keep_firing_for"] = "5m"

    stack = load(change)
    rules = [text for name, text in render_prometheus(stack, [], time_scale=60).files.items() if "rules/" in name]
    assert any("keep_firing_for: 5s" in text for text in rules), rules
    assert stack.spec.alerts[0].keep_firing_for_s == 300


def test_what_is_left_out_is_noted(load: Any) -> None:
    def change(found: dict[str, Any]) -> None:
        rule = found["PrometheusRule/rules"]["spec"]["groups"][0]["rules"][0]
        rule.update({"expr": "time() - x > 600"})
        found["ServiceMonitor/app"]["spec"]["endpoints"][0]["basicAuth"] = {}

    stack = load(change)
    notes = "\n".join(render_prometheus(stack, [], time_scale=60).notes)
    assert "cannot be compressed safely, it compares time() with 600" in notes
    assert "basicAuth is left out" in notes


def test_only_the_objects_own_external_labels_are_set(load: Any) -> None:
    def change(found: dict[str, Any]) -> None:
        found["Prometheus/p"]["spec"]["externalLabels"] = {"site": "x"}

    assert "external_labels" not in configuration(render_prometheus(load(), [], time_scale=1))["global"]
    assert configuration(render_prometheus(load(change), [], time_scale=1))["global"]["external_labels"] == {
        "site": "x"
    }


def test_a_pod_monitor_finds_pods_by_their_own_labels(load: Any, addresses: Any, make: Any, tmp_path: Path) -> None:
    def change(found: dict[str, Any]) -> None:
        spec = {"selector": {"matchLabels": {"app": "app"}}, "podMetricsEndpoints": [{"port": "http"}]}
        found["pods"] = make("PodMonitor", "direct", spec=spec)

    stack = load(change)
    rendered = render_prometheus(stack, addresses(stack), time_scale=60)
    job = configuration(rendered)["scrape_configs"][1]
    assert job["job_name"] == "podMonitor/mon/direct/0"
    assert [target["targets"][0] for target in job["static_configs"]] == ["127.9.0.1:8000", "127.9.0.2:8000"]
    write(rendered, tmp_path)
    check = ["promtool", "check", "config", str(tmp_path / "prometheus.yml")]
    assert subprocess.run(check, capture_output=True, timeout=30).returncode == 0


def test_a_time_scale_of_zero_is_refused(load: Any) -> None:
    with pytest.raises(ValueError, match="time scale"):
        render_prometheus(load(), [], time_scale=0)


def test_a_service_finds_pods_in_its_own_namespace_only(load: Any, addresses: Any) -> None:
    def change(found: dict[str, Any]) -> None:
        found["Deployment/app"]["metadata"]["namespace"] = "far"

    stack = load(change)
    job = configuration(render_prometheus(stack, addresses(stack), time_scale=60))["scrape_configs"][0]
    assert job["static_configs"] == []


TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token"


def secured(by_name: dict[str, dict[str, Any]]) -> None:
    endpoint = by_name["ServiceMonitor/app"]["spec"]["endpoints"][0]
    endpoint |= {
        "scheme": "https",
        "bearerTokenFile": TOKEN,
        "tlsConfig": {"insecureSkipVerify": True, "caFile": "/ca.crt", "serverName": "app", "ca": {"secret": {}}},
    }


def test_a_token_and_certificates_in_the_pod_are_carried_where_there_is_one(load: Any) -> None:
    rendered = render_prometheus(load(secured), None, time_scale=1)
    (scrape,) = configuration(rendered)["scrape_configs"]
    assert scrape["authorization"] == {"type": "Bearer", "credentials_file": TOKEN}
    assert scrape["tls_config"] == {"insecure_skip_verify": True, "ca_file": "/ca.crt", "server_name": "app"}
    left_out = [note for note in rendered.notes if "left out" in note and "endpoints[0]" in note]
    assert [note.rpartition(": ")[2] for note in left_out] == ["tlsConfig.ca is left out"]


def test_outside_of_a_pod_there_are_no_such_files_and_that_is_noted(load: Any) -> None:
    rendered = render_prometheus(load(secured), [], time_scale=1)
    (scrape,) = configuration(rendered)["scrape_configs"]
    assert not {"authorization", "tls_config"} & set(scrape)
    notes = "\n".join(rendered.notes)
    assert "bearerTokenFile is left out" in notes
    assert "tlsConfig is left out" in notes


def test_promtool_takes_what_a_pod_is_given_for_its_targets(load: Any, tmp_path: Path) -> None:
    write(render_prometheus(load(secured), None, time_scale=60, discovery_url="http://127.0.0.1:1/targets"), tmp_path)
    check = ["promtool", "check", "config", "--syntax-only", str(tmp_path / "prometheus.yml")]
    done = subprocess.run(check, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
