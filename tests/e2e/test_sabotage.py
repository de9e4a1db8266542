"""A stack that was broken on purpose must not pass: each way of breaking it, on the experiment it concerns."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import CHECKOUT, Runner

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


@pytest.mark.parametrize(
    ("sabotage", "codes"),
    [
        (threshold_out_of_reach, {1}),
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
