"""What a run's record says of its start: what runs where, and what of the stack it will not exercise."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping
from typing import Any

from harness import __version__
from harness.checks import incompressible_alerts
from harness.run.running import Running
from harness.stack import Stack


def start_of(running: Running, stack: Stack, *, run_id: str, left_out: Iterable[str]) -> Mapping[str, Any]:
    """The data of the entry ``run started``. ``left_out``: what the run leaves out beside what its place does."""
    state = running.state
    not_exercised = [*state.not_exercised, *left_out]
    for alert in incompressible_alerts(stack.spec, time_scale=state.time_scale):
        reasons = "; ".join(alert.incompressible)
        not_exercised.append(f"alert {alert.name}: needs --time-scale 1, since it {reasons}")
    return {
        "run_id": run_id,
        "seed": state.seed,
        "time_scale": state.time_scale,
        "environment": state.environment,
        "gpu": state.gpu,
        "not_exercised": [*not_exercised, *map(str, stack.unselected)],
        "versions": {"harness": __version__, "python": platform.python_version(), **state.versions},
        "ready_s": state.ready_s,
        "prometheus_pod": state.prometheus_pod,
    }
