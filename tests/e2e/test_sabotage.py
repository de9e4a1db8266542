"""A stack that was broken on purpose must not pass: each way of breaking it, on the experiment it concerns."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import CHECKOUT, Runner, lengthy

pytestmark = pytest.mark.e2e

STACK = CHECKOUT / "fixtures" / "stack"


def replace_in(stack: Path, name: str, old: str, new: str) -> None:
    path = stack / name
    text = path.read_text(encoding="utf-8")
    assert old in text, f"{name} no longer holds {old!r}: the sabotage would do nothing"
    path.write_text(text.replace(old, new), encoding="utf-8")


def threshold_out_of_reach(stack: Path) -> None:
    replace_in(stack, "rules.yaml", "gpu_temperature_celsius > 80", "gpu_temperature_celsius > 800")


def receiver_unplugged(stack: Path) -> None:
    replace_in(stack, "alertmanager.yaml", "svc:8080/pager", "svc:8099/pager")


def receiver_without_integrations(stack: Path) -> None:
    webhook = """
      webhookConfigs:
        - url: http://notification-receiver.monitoring.svc:8080/pager
          sendResolved: true"""
    replace_in(stack, "alertmanager.yaml", webhook, "")


def resolutions_off(stack: Path) -> None:
    replace_in(stack, "alertmanager.yaml", "sendResolved: true", "sendResolved: false")


def exporter_serves_nothing(stack: Path) -> None:
    empty = """[python, -c, "import sys, http.server as h; C = type('C', (h.BaseHTTPRequestHandler,),
            {'do_GET': lambda s: (s.send_response(200), s.end_headers())});
            h.HTTPServer((sys.argv[2], 9400), C).serve_forever()"]"""
    replace_in(stack, "exporters.yaml", "[python, -m, harness.system.workloads.gpu_exporter]", empty)


def rule_nothing_selects(stack: Path) -> None:
    replace_in(
        stack,
        "prometheus.yaml",
        "ruleSelector:\n    matchLabels:\n      team: model-serving",
        "ruleSelector: {matchLabels: {team: others}}",
    )


def severity_that_routes_elsewhere(stack: Path) -> None:
    text = (stack / "rules.yaml").read_text(encoding="utf-8")
    before, rule, after = text.partition("- alert: HighGPUTemperature")
    (stack / "rules.yaml").write_text(before + rule + after.replace("critical", "warning", 1), encoding="utf-8")


def inhibited_by_a_rule_that_is_too_wide(stack: Path) -> None:
    replace_in(
        stack,
        "alertmanager.yaml",
        "  inhibitRules:\n",
        "  inhibitRules:\n    - sourceMatch: [{name: alertname, value: Watchdog}]\n"
        "      targetMatch: [{name: severity, value: critical}]\n      equal: [team]\n",
    )


def text_changed(name: str, old: str, new: str) -> Callable[[Path], None]:
    return lambda stack: replace_in(stack, name, old, new)


CHAT_UNPLUGGED = text_changed("alertmanager.yaml", "svc:8080/chat", "svc:8099/chat")

# For every shipped experiment one way in which real stacks are broken and that it must find. Those of a batch break
# different things of one stack, and run one after another on it; what never resolves comes last.
BATCHES: tuple[dict[str, Callable[[Path], None]], ...] = (
    {
        "gpu-exporter-hangs": text_changed("rules.yaml", "(up) == 0", '(up{job="gpu"}) == 0'),
        "gpu-falls-off-the-bus": text_changed(
            "alertmanager.yaml", "value: critical\n        rep", "value: crit\n        rep"
        ),
        "gpu-overheats-with-memory-full": text_changed(
            "alertmanager.yaml", "equal: [namespace, instance]", "equal: [namespace, alertname]"
        ),
        "gpu-throttled": text_changed(
            "rules.yaml", "sum by (le, model_name, namespace)", "sum by (model_name, namespace)"
        ),
        "gpu-warm": text_changed("rules.yaml", "gpu_temperature_celsius > 80", "gpu_temperature_celsius > 75"),
        "inference-pod-keeps-restarting": text_changed("rules.yaml", "time_seconds[15m]", "time_seconds[1m]"),
    },
    {
        "learning-rate-too-high": text_changed(
            "rules.yaml", "training_loss > 10", 'training_loss{job_name="old"} > 10'
        ),
        "learning-rate-zero": text_changed("rules.yaml", "> -0.001", "> 0.001"),
        "model-volume-full": text_changed("rules.yaml", "< 0.1\n", "< 0.01\n"),
        "model-weights-damaged": text_changed("rules.yaml", "model_accuracy < 0.85", "model_accuracy < 0"),
        "gpu-xid-twice": text_changed(
            "rules.yaml", "increase(gpu_xid_errors_total[10m]) > 0", "gpu_xid_errors_total > 0"
        ),
    },
    {
        "alertmanager-killed-while-pending": receiver_unplugged,
        "gpu-exporter-flaps": text_changed("rules.yaml", "for: 10m", "for: 4m"),
        "gpu-memory-full": text_changed("alertmanager.yaml", "svc:8080/chat", "svc:8099/chat"),
        "gpu-overheats": threshold_out_of_reach,
        "inference-pod-killed": text_changed("rules.yaml", "time_seconds[15m]) > 2", "time_seconds[15m]) > 0"),
        "prometheus-lost": text_changed("alertmanager.yaml", "svc:8080/heartbeat", "svc:8099/heartbeat"),
    },
)


def test_every_experiment_has_a_sabotaged_twin() -> None:
    shipped = sorted(path.stem for path in (CHECKOUT / "experiments").glob("*.yaml"))
    assert sorted(name for batch in BATCHES for name in batch) == shipped


@lengthy
@pytest.mark.parametrize("batch", BATCHES, ids=["rules-and-routes", "training-and-data", "receivers-and-thresholds"])
def test_every_sabotaged_twin_fails(runner: Runner, tmp_path: Path, batch: dict[str, Callable[[Path], None]]) -> None:
    stack = Path(shutil.copytree(STACK, tmp_path / "stack"))
    for sabotage in batch.values():
        sabotage(stack)
    outcome = runner.certify(stack=stack, experiments=tuple(f"{name}.yaml" for name in batch), timeout_s=500)
    assert outcome.code == 1, outcome.out + outcome.err
    assert {name for name in batch if "FAIL" not in outcome.verdicts(name).values()} == set(), outcome.out


@pytest.mark.parametrize(
    ("sabotage", "codes"),
    [
        (receiver_unplugged, {1}),
        (receiver_without_integrations, {1}),
        (resolutions_off, {1}),
        (exporter_serves_nothing, {1, 2}),
        (severity_that_routes_elsewhere, {1}),
        (inhibited_by_a_rule_that_is_too_wide, {1}),
    ],
)
def test_a_sabotaged_stack_does_not_pass(
    runner: Runner, tmp_path: Path, sabotage: Callable[[Path], None], codes: set[int]
) -> None:
    stack = Path(shutil.copytree(STACK, tmp_path / "stack"))
    sabotage(stack)
    outcome = runner.certify(stack=stack, experiments=("gpu-overheats.yaml",))
    assert outcome.code in codes, outcome.out + outcome.err
    assert "HighGPUTemperature" in outcome.result["coverage"]["alerts"]["unproved"]


@pytest.mark.parametrize("sabotage", [rule_nothing_selects])
def test_an_alert_that_is_not_there_is_named_before_anything_starts(
    runner: Runner, tmp_path: Path, sabotage: Callable[[Path], None]
) -> None:
    stack = Path(shutil.copytree(STACK, tmp_path / "stack"))
    sabotage(stack)
    outcome = runner.certify(stack=stack, experiments=("gpu-overheats.yaml",))
    assert outcome.code == 3
    assert "HighGPUTemperature" in outcome.err
    assert not outcome.run_dir.exists()
