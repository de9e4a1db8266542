"""What is added to the shipped stack in a cluster: complete, and each rule true exactly when it should be."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from harness.stack import Stack, load_stack, render_prometheus
from tests.environments.stacks import CLUSTER, merged
from tests.stack.rule_cases import assert_fires

NODE = 'namespace="kube-system",job="kubelet",instance="n1"'
UP, UP_PROBES = (f'up{{{NODE},metrics_path="{path}"}}' for path in ("/metrics", "/metrics/probes"))
PULLS = f'kubelet_runtime_operations_errors_total{{{NODE},operation_type="pull_image"}}'
POD = 'namespace="model-serving",pod="inference-1",container="inference",probe_type="Readiness"'
FAILED, PASSED = (f'prober_probe_total{{{POD},result="{result}"}}' for result in ("failed", "successful"))
API = 'namespace="default",job="apiserver",instance="10.0.0.1:6443"'
UP_API = f"up{{{API}}}"
REQUESTS = f'apiserver_request_total{{{API},verb="POST",resource="pods"'
EVICTED, REFUSED = (f'{REQUESTS},subresource="eviction",code="{code}"}}' for code in (201, 429))
TARGET = 'namespace="model-serving",job="inference",instance="10.0.0.7:8000"'
TOOK, UP_TARGET = f"scrape_duration_seconds{{{TARGET}}}", f"up{{{TARGET}}}"
UPS = {UP: "1x90", UP_PROBES: "1x90"}

Case = tuple[str, dict[str, str], int, bool]

# Alert, series sampled every 30 s, minute of the look, whether it fires then.
CASES: list[Case] = [
    ("NodeNotReady", {UP: "1x10 0x80", UP_PROBES: "1x10 0x80"}, 9, True),
    ("NodeNotReady", {UP: "1x10 0x80", UP_PROBES: "1x10 0x80"}, 6, False),
    ("NodeNotReady", {UP: "1x10 0x80", UP_PROBES: "1x90"}, 9, False),
    ("NodeNotReady", {UP: "1 0 1 0 1 0 1 0 1 0 1 0", UP_PROBES: "1 0 1 0 1 0 1 0 1 0 1 0"}, 5, True),
    ("NodeNotReady", UPS, 9, False),
    ("PodNotReady", {FAILED: "0x20 1+1x70", PASSED: "0+1x20 20x70"}, 20, True),
    ("PodNotReady", {FAILED: "0+1x90"}, 20, True),
    ("PodNotReady", {FAILED: "0+1x90", PASSED: "0+1x90"}, 20, False),
    ("PodNotReady", {FAILED: "2x90", PASSED: "0+1x90"}, 20, False),
    # It failed while it ended, and is gone.
    ("PodNotReady", {FAILED: "0x20 1+1x4 stale", PASSED: "0+1x20 20x4 stale"}, 16, False),
    ("ServingStopped", {**UPS, PASSED: "0+1x20 stale"}, 17, True),
    ("ServingStopped", {**UPS, PASSED: "0+1x20 stale"}, 13, False),
    ("ServingStopped", {**UPS, PASSED: "0+1x90"}, 17, False),
    # A silent kubelet tells nothing of its pods.
    ("ServingStopped", {UP: "1x20 0x70", UP_PROBES: "1x20 0x70", PASSED: "0+1x20 stale"}, 20, False),
    ("ServingStopped", {}, 20, False),
    ("ScrapesSlow", {UP_TARGET: "1x90", TOOK: "0.01x20 0.2x70"}, 15, True),
    ("ScrapesSlow", {UP_TARGET: "1x90", TOOK: "0.01x20 0.2x70"}, 12, False),
    ("ScrapesSlow", {UP_TARGET: "1x90", TOOK: "0.01x20 0.2x4 0.01 0.2x4 0.01 0.2x4 0.01x70"}, 15, False),
    # Every other answer comes too late.
    ("ScrapesSlow", {UP_TARGET: "1x20" + " 0 1" * 35, TOOK: "0.01x20" + " 10 0.4" * 35}, 15, True),
    ("ScrapesSlow", {UP_TARGET: "1x20 0x70", TOOK: "0.01x20 10x70"}, 15, False),
]

# The same of what is sampled every four minutes. An answer that is missing is no news and does not end any; whoever
# starts anew has forgotten.
SLOW_CASES: list[Case] = [
    case
    for alert, up, counted in (("ImagePullFailing", UP, PULLS), ("PodsEvicted", UP_API, EVICTED))
    for case in (
        (alert, {up: "1x25", counted: "_x5 1x20"}, 21, True),
        (alert, {up: "1x25", counted: "_x5 1x20"}, 30, True),
        (alert, {up: "1x25", counted: "_x5 1x20"}, 37, False),
        (alert, {up: "1x25", counted: "1x9 2x15"}, 41, True),
        (alert, {up: "1x25", counted: "1x9 2x15"}, 61, False),
        (alert, {up: "1x25", counted: "1x25"}, 5, False),
        (alert, {up: "1x25", counted: "1x25"}, 41, False),
        (alert, {up: "1x5 0 1x18", counted: "_x5 1 stale 1x18"}, 25, True),
        (alert, {up: "1x5 0 1x18", counted: "_x5 1 stale 1x18"}, 29, True),
        (alert, {up: "1x9 0 1x15", counted: "1x9 stale 1x15"}, 41, False),
        (alert, {up: "1x9 0 1x15", counted: "1x9 stale 1x15"}, 45, False),
        (alert, {up: "1x9 0 1x15", counted: "1x9 stale"}, 41, False),
        (alert, {up: "1x9 0 1x15", counted: "1x9 stale"}, 45, False),
        (alert, {up: "1x25", counted: "1x9 stale"}, 41, False),
    )
]
SLOW_CASES += [
    ("PodsEvicted", {UP_API: "1x25", REFUSED: "_x5 1x20"}, 21, False),
]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Stack:
    return load_stack(merged(tmp_path_factory.mktemp("stack")))


@pytest.mark.parametrize(
    ("interval", "alert", "series", "minute", "fires"),
    [*(("30s", *case) for case in CASES), *(("4m", *case) for case in SLOW_CASES)],
    ids=lambda value: str(value)[:40],
)
def test_a_rule_fires_exactly_when_it_should(
    stack: Stack, tmp_path: Path, interval: str, alert: str, series: dict[str, str], minute: int, fires: bool
) -> None:
    assert_fires(stack, tmp_path, alert, series, minute=minute, fires=fires, interval=interval)


def test_every_alert_of_a_cluster_has_a_case_in_which_it_fires_and_one_in_which_it_does_not(stack: Stack) -> None:
    names = {alert.name for alert in stack.spec.alerts if alert.group == "cluster"}
    assert names == {name for name, _, _, fires in (*CASES, *SLOW_CASES) if fires}
    assert names == {name for name, _, _, fires in (*CASES, *SLOW_CASES) if not fires}


def test_all_of_it_is_selected_and_compressible(stack: Stack) -> None:
    assert stack.unselected == ()
    assert [alert.name for alert in stack.spec.alerts if alert.incompressible] == []


def test_the_way_to_a_kubelet_is_told_to_prometheus(stack: Stack) -> None:
    written = yaml.safe_load(render_prometheus(stack, None, time_scale=60).files["prometheus.yml"])
    jobs = [each for each in written["scrape_configs"] if "/kubelet/" in each["job_name"]]
    assert [job["metrics_path"] for job in jobs] == ["/metrics", "/metrics/probes"]
    for job in jobs:
        assert job["authorization"]["credentials_file"].endswith("/serviceaccount/token")
        assert job["tls_config"] == {"insecure_skip_verify": True}
        assert job["kubernetes_sd_configs"] == [{"role": "endpoints", "namespaces": {"names": ["kube-system"]}}]


def test_what_is_added_takes_no_files_place() -> None:
    assert not {path.name for path in CLUSTER.iterdir()} & {path.name for path in (CLUSTER.parent / "stack").iterdir()}
