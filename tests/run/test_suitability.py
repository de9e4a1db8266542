"""What an environment is too slow for at a time scale is known before it is run, and named."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.errors import InputError
from harness.experiment import load_experiments
from harness.model import Experiment
from harness.run import inputs, suitability
from harness.spec import Spec
from harness.stack import load_stack

CHECKOUT = Path(__file__).resolve().parents[2]
STACK = CHECKOUT / "fixtures" / "stack"


@pytest.fixture(scope="module")
def spec() -> Spec:
    return load_stack(STACK).spec


@pytest.fixture(scope="module")
def experiments(spec: Spec) -> Mapping[str, Experiment]:
    return {each.name: each for each in load_experiments([CHECKOUT / "experiments"], spec)}


def why(experiment: Experiment, spec: Spec, **where: Any) -> str | None:
    return suitability.why_unsuitable(experiment, spec, **({"environment": "kind", "time_scale": 60.0} | where))


def test_one_restart_is_immediate_and_each_further_one_waits_longer() -> None:
    assert [suitability.restart_delays_s(count) for count in (0, 1, 2, 3, 4)] == [0.0, 0.0, 14.0, 36.0, 78.0]


def test_many_restarts_wait_five_minutes_at_most() -> None:
    assert suitability.restart_delays_s(9) - suitability.restart_delays_s(8) == 302.0


def test_three_restarts_do_not_fit_into_a_compressed_window(experiments: Mapping[str, Experiment], spec: Spec) -> None:
    found = why(experiments["inference-pod-keeps-restarting"], spec)
    assert found is not None
    assert "PodRestarting" in found
    assert "--time-scale 25 or less" in found


@pytest.mark.parametrize("where", [{"environment": "local"}, {"time_scale": 25.0}, {"time_scale": 1.0}])
def test_they_do_where_nothing_waits_or_time_is_long_enough(
    experiments: Mapping[str, Experiment], spec: Spec, where: dict[str, Any]
) -> None:
    assert why(experiments["inference-pod-keeps-restarting"], spec, **where) is None


def test_only_what_does_not_fit_is_left_out(experiments: Mapping[str, Experiment], spec: Spec) -> None:
    suited, left_out = suitability.split(tuple(experiments.values()), spec, environment="kind", time_scale=60.0)
    assert {each.name for each in suited} == experiments.keys() - {"inference-pod-keeps-restarting"}
    assert [each.partition(":")[0] for each in left_out] == ["experiment inference-pod-keeps-restarting"]


def test_kills_of_several_workloads_are_restarts_of_each(tmp_path: Path, spec: Spec) -> None:
    shipped = yaml.safe_load((CHECKOUT / "experiments" / "inference-pod-keeps-restarting.yaml").read_text())
    workloads = iter(("inference", "gpu-exporter", "node-exporter"))
    for activity in shipped["method"]:
        if activity["provider"]["func"] == "kill_pod":
            activity["provider"]["arguments"] = {"workload": next(workloads)}
    path = tmp_path / "several.yaml"
    path.write_text(yaml.safe_dump(shipped), encoding="utf-8")
    (several,) = load_experiments([path], spec)
    assert why(several, spec) is None


def test_a_stack_of_several_directories_is_one(tmp_path: Path) -> None:
    rule = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "more", "namespace": "monitoring", "labels": {"team": "model-serving"}},
        "spec": {"groups": [{"name": "more", "rules": [{"alert": "More", "expr": "up == 0"}]}]},
    }
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rule), encoding="utf-8")
    stack, _ = inputs.read_inputs([STACK, tmp_path], ())
    alone, _ = inputs.read_inputs([STACK], ())
    assert {alert.name for alert in stack.spec.alerts} == {alert.name for alert in alone.spec.alerts} | {"More"}
    assert stack.sha256 != alone.sha256


def test_an_object_that_stands_in_both_directories_is_a_mistake() -> None:
    with pytest.raises(InputError, match="stands already in"):
        inputs.read_inputs([STACK, STACK], ())
