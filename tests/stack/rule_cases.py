"""A stack's rules held against series, by promtool."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

import yaml

from harness.stack import Stack, render_prometheus


def assert_fires(
    stack: Stack, root: Path, alert: str, series: Mapping[str, str], *, minute: int, fires: bool, interval: str = "30s"
) -> None:
    """That an alert fires in that minute, or does not. ``series``: name → values as promtool writes them."""
    rendered = render_prometheus(stack, [], time_scale=1)
    files = {name: text for name, text in rendered.files.items() if name.startswith("rules/")}
    (root / "rules").mkdir()
    for name, text in files.items():
        (root / name).write_text(text)
    look = {
        "expr": f'count(ALERTS{{alertname="{alert}",alertstate="firing"}}) > bool 0 or vector(0)',
        "eval_time": f"{minute}m",
        "exp_samples": [{"labels": "{}", "value": int(fires)}],
    }
    inputs = [{"series": name, "values": values} for name, values in series.items()]
    case = {
        "rule_files": list(files),
        "evaluation_interval": "30s",
        "tests": [{"interval": interval, "input_series": inputs, "promql_expr_test": [look]}],
    }
    (root / "test.yml").write_text(yaml.safe_dump(case))
    command = ["promtool", "test", "rules", str(root / "test.yml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stdout + done.stderr
