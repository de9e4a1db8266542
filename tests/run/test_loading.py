"""Where load is made, and what it is aimed at."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.clock import RunClock
from harness.environments.kube.cluster import Cluster
from harness.errors import HarnessError
from harness.evidence.timeline import Timeline
from harness.load.locust_run import LocustRun
from harness.run.loading import Load, load_target, make_load, serving_targets
from harness.stack import Service, ServicePort, load_stack
from tests.environments.test_kube_state import whole

SHIPPED = Path(__file__).resolve().parents[2] / "fixtures" / "stack"


def load_of(cluster: Cluster, run_dir: Path, target: str = "a/s:80") -> Load:
    timeline = Timeline(run_dir / "timeline.jsonl", RunClock.start())
    try:
        return make_load(cluster, target, rate=1, model_name="m", workers=1, run_dir=run_dir, timeline=timeline)
    finally:
        timeline.close()


def test_a_cluster_with_a_port_here_gets_its_load_from_here(tmp_path: Path) -> None:
    cluster = Cluster(replace(whole(tmp_path), entry="127.0.0.1:40123"))
    load = load_of(cluster, tmp_path)
    assert isinstance(load, LocustRun)
    assert load.plan.base_url == "http://127.0.0.1:40123"


def test_a_service_without_a_pod_is_an_error_that_names_those_with_one(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="no pod is behind the Service b/s:80; the stack has: a/s:80"):
        load_of(Cluster(whole(tmp_path)), tmp_path, "b/s:80")


def test_load_is_meant_for_what_was_asked_for_or_the_first_service_for_inference() -> None:
    stack = load_stack(SHIPPED)
    assert load_target(stack, "x/y:1") == "x/y:1"
    assert load_target(stack, None) == "model-serving/inference:8000"
    plain = Service("n", "other", {}, {}, (ServicePort("http", 80, 80),), headless=False)
    assert serving_targets(replace(stack, services=(plain,))) == []
    assert load_target(replace(stack, services=(plain,)), None) is None
