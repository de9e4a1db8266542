"""The shipped manifests: complete, quiet when all is well, and each rule true exactly when it should be."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.spec import Peers
from harness.stack import Stack, render_prometheus
from tests.stack.rule_cases import assert_fires

GPU = 'namespace="monitoring",job="gpu-exporter",instance="gpu-exporter-0"'
NODE = 'instance="node-exporter-0",mountpoint="/models"'
TRAIN = 'namespace="training",job_name="j"'
SERVE = 'namespace="model-serving",model_name="m"'
UP, NVML, XID = (
    f"up{{{GPU}}}",
    f'gpu_nvml_up{{{GPU},gpu_id="0"}}',
    f'gpu_xid_errors_total{{{GPU},gpu_id="0",xid="79"}}',
)
AVAIL, SIZE, READONLY = (f"node_filesystem_{name}{{{NODE}}}" for name in ("avail_bytes", "size_bytes", "readonly"))
LOSS, RUNNING = f"training_loss{{{TRAIN}}}", f"training_running{{{TRAIN}}}"
START = f"process_start_time_seconds{{{GPU}}}"
ERRORS, SUCCESSES = (f'inference_requests_total{{{SERVE},status="{status}"}}' for status in ("error", "success"))


def buckets(fast: str, slow: str) -> dict[str, str]:
    name = f"inference_request_duration_seconds_bucket{{{SERVE},le="
    return {f'{name}"1"}}': fast, f'{name}"5"}}': slow, f'{name}"+Inf"}}': slow}


# Alert, series sampled every 30 s, minute of the look, whether it fires then.
CASES: list[tuple[str, dict[str, str], int, bool]] = [
    ("Watchdog", {}, 1, True),
    ("GPUXidErrors", {UP: "1x90", NVML: "1x90", XID: "_x20 1x70"}, 11, True),
    ("GPUXidErrors", {UP: "1x90", NVML: "1x90", XID: "_x20 1x70"}, 25, False),
    ("GPUXidErrors", {UP: "1x90", NVML: "1x90", XID: "1x90"}, 2, False),
    ("GPUXidErrors", {UP: "1x90", NVML: "1x90", XID: "1x60 2x30"}, 32, True),
    ("GPULost", {UP: "1x90", NVML: "1x20 0x70"}, 13, True),
    ("GPULost", {UP: "1x90", NVML: "1x20 stale"}, 13, True),
    ("GPULost", {UP: "1x90", NVML: "1x20 stale"}, 44, True),
    ("GPULost", {UP: "1x20 0x70", NVML: "1x20 stale"}, 13, False),
    ("GPULost", {UP: "1x90", NVML: "1x90"}, 44, False),
    ("GPULost", {UP: "1x90", NVML: "1x90"}, 0, False),
    ("TargetDown", {UP: "1x20 0x70"}, 21, True),
    ("TargetDown", {UP: "1x20 0x70"}, 18, False),
    ("TargetDown", {UP: "1x90"}, 21, False),
    ("DiskFilling", {AVAIL: "5x90", SIZE: "100x90", READONLY: "0x90"}, 3, True),
    ("DiskFilling", {AVAIL: "10x90", SIZE: "100x90", READONLY: "0x90"}, 3, False),
    ("DiskFilling", {AVAIL: "0x90", SIZE: "100x90", READONLY: "1x90"}, 3, False),
    ("DiskFilling", {AVAIL: "0x90", SIZE: "0x90", READONLY: "0x90"}, 3, False),
    ("HighErrorRate", {ERRORS: "0+1x90", SUCCESSES: "0+9x90"}, 11, True),
    ("HighErrorRate", {ERRORS: "0+1x90", SUCCESSES: "0+99x90"}, 11, False),
    ("HighErrorRate", {ERRORS: "0x90", SUCCESSES: "0x90"}, 11, False),
    ("HighLatency", buckets("0x90", "0+9x90"), 11, True),
    ("HighLatency", buckets("0+9x90", "0+9x90"), 11, False),
    ("HighLatency", buckets("0x90", "0x90"), 11, False),
    ("LowAccuracy", {f"model_accuracy{{{SERVE}}}": "0.84x90"}, 6, True),
    ("LowAccuracy", {f"model_accuracy{{{SERVE}}}": "0.85x90"}, 6, False),
    ("LowAccuracy", {f"model_accuracy{{{SERVE}}}": " ".join(["NaN"] * 20)}, 6, False),
    ("TrainingLossTooHigh", {LOSS: "11x90"}, 6, True),
    ("TrainingLossTooHigh", {LOSS: "10x90"}, 6, False),
    ("TrainingNotProgressing", {LOSS: "3x90", RUNNING: "1x90"}, 20, True),
    ("TrainingNotProgressing", {LOSS: "3x90", RUNNING: "0x90"}, 20, False),
    ("TrainingNotProgressing", {LOSS: "30-0.1x90", RUNNING: "1x90"}, 20, False),
    ("HighGPUTemperature", {f"gpu_temperature_celsius{{{GPU}}}": "81x90"}, 3, True),
    ("HighGPUTemperature", {f"gpu_temperature_celsius{{{GPU}}}": "80x90"}, 3, False),
    (
        "HighGPUMemoryUsage",
        {f"gpu_memory_used_bytes{{{GPU}}}": "91x90", f"gpu_memory_total_bytes{{{GPU}}}": "100x90"},
        6,
        True,
    ),
    (
        "HighGPUMemoryUsage",
        {f"gpu_memory_used_bytes{{{GPU}}}": "1x90", f"gpu_memory_total_bytes{{{GPU}}}": "0x90"},
        6,
        False,
    ),
    ("GPUThrottled", {f'gpu_clock_throttle_reason{{{GPU},reason="thermal"}}': "1x90"}, 3, True),
    ("GPUThrottled", {f'gpu_clock_throttle_reason{{{GPU},reason="gpu_idle"}}': "1x90"}, 3, False),
    ("PodRestarting", {START: "1x8 2x8 3x8 4x8"}, 14, True),
    ("PodRestarting", {START: "1x20 2x20"}, 16, False),
]


@pytest.mark.parametrize(("alert", "series", "minute", "fires"), CASES, ids=lambda value: str(value)[:40])
def test_a_rule_fires_exactly_when_it_should(
    shipped: Stack, tmp_path: Path, alert: str, series: dict[str, str], minute: int, fires: bool
) -> None:
    assert_fires(shipped, tmp_path, alert, series, minute=minute, fires=fires)


def test_every_shipped_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not(
    shipped: Stack,
) -> None:
    names = {alert.name for alert in shipped.spec.alerts}
    assert names == {name for name, _, _, fires in CASES if fires}
    assert names - {"Watchdog"} == {name for name, _, _, fires in CASES if not fires}


def test_everything_shipped_is_selected_and_compressible(shipped: Stack) -> None:
    assert shipped.unselected == ()
    assert [alert.name for alert in shipped.spec.alerts if alert.incompressible] == []


def test_only_inference_pods_that_started_are_scraped(shipped: Stack) -> None:
    rule = {"source_labels": ["__meta_kubernetes_pod_phase"], "regex": "Pending", "action": "drop"}
    dropping = {endpoint.port for endpoint in shipped.endpoints if rule in endpoint.relabelings}
    assert dropping == {endpoint.port for endpoint in shipped.endpoints if endpoint.monitor.endswith("inference")}


def test_three_alertmanagers_notify_in_turn(shipped: Stack) -> None:
    assert shipped.spec.peers == Peers("monitoring", "alertmanager-model-alerts", 3, 15.0)


def test_jobs_the_rules_name_are_jobs_that_are_scraped(shipped: Stack) -> None:
    services = {service.name for endpoint in shipped.endpoints for service in endpoint.services}
    named = {job for alert in shipped.spec.alerts for job in re.findall(r'job="([^"]+)"', alert.expr)}
    assert named == {"gpu-exporter"}
    assert named <= services


def test_every_endpoint_has_a_target_and_every_pod_is_scraped(shipped: Stack, addresses: Any) -> None:
    pods = addresses(shipped)
    written = yaml.safe_load(render_prometheus(shipped, pods, time_scale=60).files["prometheus.yml"])
    targets = {
        target["labels"]["__meta_kubernetes_pod_name"]
        for job in written["scrape_configs"]
        for target in job["static_configs"]
    }
    assert targets == {pod.name for pod in pods}
    assert {(job["scrape_interval"], job["scrape_timeout"]) for job in written["scrape_configs"]} == {
        ("500ms", "500ms")
    }


@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        ({"alertname": "A", "severity": "critical", "team": "model-serving"}, ["pager"]),
        ({"alertname": "A", "severity": "warning", "team": "model-serving"}, ["chat"]),
        ({"alertname": "A", "severity": "odd", "team": "model-serving"}, ["chat"]),
        ({"alertname": "Watchdog", "severity": "none", "team": "model-serving"}, ["heartbeat"]),
        ({"alertname": "A", "severity": "critical", "team": "other"}, ["null"]),
    ],
)
def test_alerts_reach_the_receiver_of_their_severity(
    shipped: Stack, labels: dict[str, str], receivers: list[str]
) -> None:
    assert shipped.spec.route is not None
    assert [route.receiver.rpartition("/")[2] for route in shipped.spec.route.resolve(labels)] == receivers


def test_every_receiver_of_the_team_tells_of_resolution_and_nothing_is_captured(shipped: Stack) -> None:
    own = [one for one in shipped.spec.receivers if one.name != "null"]
    assert len(own) == 3
    assert all(one.send_resolved and not one.captured for one in own)


def test_a_critical_without_an_instance_mutes_nothing(shipped: Stack) -> None:
    (rule,) = shipped.spec.inhibit_rules

    def mutes(source: dict[str, str], target: dict[str, str]) -> bool:
        return (
            all(matcher.matches(source) for matcher in rule.source)
            and all(matcher.matches(target) for matcher in rule.target)
            and all(source.get(name, "") == target.get(name, "") for name in rule.equal)
        )

    critical, warning = {"severity": "critical"}, {"severity": "warning"}
    assert not mutes(critical, warning)
    assert not mutes({**critical, "instance": "a"}, {**warning, "instance": "b"})
    assert mutes({**critical, "instance": "a"}, {**warning, "instance": "a"})


def test_the_operated_pods_are_as_declared(shipped: Stack) -> None:
    prometheus, alertmanager = (one for one in shipped.workloads if one.operated)
    assert prometheus.pod_names() == ("prometheus-model-monitoring-0",)
    assert alertmanager.pod_names() == tuple(f"alertmanager-model-alerts-{number}" for number in range(3))
    assert "--storage.tsdb.retention.time=30d" in prometheus.containers[0].args
    assert "--web.enable-admin-api" not in prometheus.containers[0].args
    assert [(volume.kind, volume.size_bytes) for volume in prometheus.volumes] == [
        ("files", None),
        ("claim", 100 * 2**30),
    ]
    operated = {service.name: {port.name for port in service.ports} for service in shipped.services if service.headless}
    assert operated["prometheus-operated"] == {"web"}
    assert operated["alertmanager-operated"] == {"web", "tcp-mesh"}


def test_images_need_no_registry_and_say_their_version(shipped: Stack) -> None:
    images = [one.image for workload in shipped.workloads for one in workload.containers]
    assert all(re.fullmatch(r"[a-z-]+/[a-z-]+:v?\d+\.\d+\.\d+", image) for image in images), images


def test_the_dashboard_has_its_five_panels_in_current_types(shipped: Stack) -> None:
    dashboard = shipped.dashboards["model-training-serving"]
    assert dashboard["title"] == "Model Training & Serving"
    types = [panel["type"] for panel in dashboard["panels"]]
    assert types == ["timeseries", "timeseries", "stat", "gauge", "heatmap"]
