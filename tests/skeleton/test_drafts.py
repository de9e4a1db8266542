"""First experiments for stacks of several styles: guessed where something is known, TODO where nothing is."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.errors import InputError
from harness.run.inputs import read_experiments
from harness.skeleton import Draft, draft_experiments, file_names, write_drafts
from harness.stack import Stack, load_stack

SHIPPED = Path(__file__).resolve().parents[2] / "fixtures" / "stack"


def stack_with(directory: Path, *rules: dict[str, Any], without_alertmanager: bool = False) -> Stack:
    """The shipped workloads with other rules."""
    path = Path(shutil.copytree(SHIPPED, directory / "stack"))
    manifest = yaml.safe_load((path / "rules.yaml").read_text(encoding="utf-8"))
    manifest["spec"]["groups"] = [{"name": "g", "rules": list(rules)}]
    (path / "rules.yaml").write_text(yaml.safe_dump(manifest), encoding="utf-8")
    if without_alertmanager:
        (path / "alertmanager.yaml").unlink()
    return load_stack(path)


def rule(expr: str, alert: str = "A", **labels: str) -> dict[str, Any]:
    return {"alert": alert, "expr": expr, "labels": {"severity": "warning", "team": "model-serving", **labels}}


def draft(directory: Path, expr: str) -> Draft:
    (found,) = draft_experiments(stack_with(directory, rule(expr)))
    return found


def written(drafts: tuple[Draft, ...], directory: Path) -> list[Path]:
    return [path for path, _, _ in write_drafts(drafts, directory)]


def test_every_draft_of_the_shipped_stack_without_a_todo_loads_against_it(tmp_path: Path) -> None:
    stack = load_stack(SHIPPED)
    drafts = draft_experiments(stack)
    assert {each.alert for each in drafts} == {each.name for each in stack.spec.alerts} - {"Watchdog"}
    ready = [path for path, each, _ in write_drafts(drafts, tmp_path) if not each.todo]
    assert len(ready) == len(read_experiments(stack, ready)) == 11


def test_a_draft_with_a_todo_is_refused_by_one_clear_line(tmp_path: Path) -> None:
    stack = stack_with(tmp_path, rule("temporal_workflows_failed > 3", "Odd"))
    (path,) = written(draft_experiments(stack), tmp_path / "out")
    assert "# TODO: say how to make temporal_workflows_failed cross the threshold." in path.read_text(encoding="utf-8")
    with pytest.raises(InputError) as refused:
        read_experiments(stack, [path])
    (mistake,) = refused.value.mistakes
    assert str(mistake).startswith(f"{path}: method[0].provider.func: TODO: say what breaks it, one of: kill_pod")


@pytest.mark.parametrize(
    ("expr", "function", "arguments"),
    [
        ("DCGM_FI_DEV_GPU_TEMP > 92", "lose_gpu_cooling", {"gpu": 0, "celsius": 98.0}),
        ("max(gpu_temperature_celsius) >= (85)", "lose_gpu_cooling", {"gpu": 0, "celsius": 91.0}),
        ("DCGM_FI_DEV_FB_USED / DCGM_FI_DEV_FB_TOTAL > 0.8", "take_gpu_memory", {"fraction": 0.9}),
        ("gpu_memory_utilization_percent > 90", "take_gpu_memory", {"fraction": 0.95}),
        ("increase(DCGM_FI_DEV_XID_ERRORS[5m]) > 0", "raise_gpu_xid", {}),
        ("DCGM_FI_DEV_POWER_VIOLATION > 0", "throttle_gpu", {}),
        ("node_filesystem_avail_bytes / node_filesystem_size_bytes < 0.2", "fill_volume", {"percent": 90.0}),
        ("100 * kubelet_volume_stats_used_bytes / 1e9 > 80", "fill_volume", {"percent": 90.0}),
        ('up{job="gpu-exporter"} == 0', "hang_pod", {"workload": "gpu-exporter"}),
        ('absent(up{job="training"})', "hang_pod", {"workload": "training"}),
        ("increase(kube_pod_container_status_restarts_total[1h]) > 4", "kill_pod", {}),
        ("training_loss > 5", "change_config", {"values": {"learning_rate": 1000.0}}),
        ("deriv(training_loss[10m]) > 0", "change_config", {"values": {"learning_rate": 0.0}}),
        ("histogram_quantile(0.99, rate(request_duration_seconds_bucket[5m])) > 1", "throttle_gpu", {}),
    ],
)  # fmt: skip
def test_the_fault_follows_from_metric_and_threshold(
    tmp_path: Path, expr: str, function: str, arguments: dict[str, Any]
) -> None:
    found = draft(tmp_path, expr)
    assert found.steps[0].function == function
    assert arguments.items() <= found.steps[0].arguments.items(), found.steps


def test_a_rule_on_restarts_kills_as_often_as_it_counts(tmp_path: Path) -> None:
    found = draft(tmp_path, "changes(process_start_time_seconds[15m]) > 4")
    assert [step.function for step in found.steps].count("kill_pod") == 5
    assert found.steps[-1].function == "kill_pod"


def test_what_shares_a_fault_may_fire_beside(tmp_path: Path) -> None:
    stack = stack_with(
        tmp_path, rule("gpu_temperature_celsius > 80", "Warm"), rule("gpu_temperature_celsius > 90", "Hot")
    )
    assert [each.allow for each in draft_experiments(stack)] == [("Hot",), ("Warm",)]


def test_who_is_told_follows_from_the_labels_unless_they_are_templates(tmp_path: Path) -> None:
    known = rule("gpu_temperature_celsius > 80", "Known", severity="critical")
    open_ = rule("gpu_temperature_celsius > 80", "Open", severity="{{ $labels.level }}")
    drafts = draft_experiments(stack_with(tmp_path, known, open_))
    assert [each.receiver for each in drafts] == ["pager", None]


def test_without_an_alertmanager_a_person_must_say_who_is_told(tmp_path: Path) -> None:
    stack = stack_with(tmp_path, rule("gpu_temperature_celsius > 80"), without_alertmanager=True)
    (found,) = draft_experiments(stack)
    assert found.todo == ("the stack has no Alertmanager: nobody is told of this alert",)


def test_names_become_files_and_two_rules_of_one_name_two_files(tmp_path: Path) -> None:
    names = ["HighGPUTemperature", "Disk / filling", "Disk / filling", "../../x", "日本", "etcdNoLeader"]
    rules = [rule("gpu_temperature_celsius > 80", name) for name in names]
    drafts = draft_experiments(stack_with(tmp_path, *rules))
    assert file_names(drafts) == (
        "high-gpu-temperature.yaml",
        "disk-filling.yaml",
        "disk-filling-2.yaml",
        "x.yaml",
        "alert.yaml",
        "etcd-no-leader.yaml",
    )
    paths = written(drafts, tmp_path / "out")
    assert all(path.parent == tmp_path / "out" for path in paths)
    assert [
        yaml.safe_load(path.read_text(encoding="utf-8"))["extensions"][0]["expect"]["alerts"][0]["alert"]
        for path in paths
    ] == names


def test_a_file_that_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    drafts = draft_experiments(load_stack(SHIPPED))
    (tmp_path / "disk-filling.yaml").write_text("mine", encoding="utf-8")
    outcome = {path.name: new for path, _, new in write_drafts(drafts, tmp_path)}
    assert outcome.pop("disk-filling.yaml") is False
    assert all(outcome.values())
    assert (tmp_path / "disk-filling.yaml").read_text(encoding="utf-8") == "mine"
