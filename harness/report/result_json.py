"""``result.json``: a run's result as JSON, and back.

A number that JSON cannot hold is the string Prometheus writes for it: ``"NaN"``, ``"+Inf"`` or ``"-Inf"``; null means
that it was not observed. ``schema`` counts up when a key changes its meaning or goes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from harness.model import CheckResult, Phase, RunResult
from harness.report.characters import encodable_json
from harness.report.result_reader import SCHEMA, from_json

__all__ = ["SCHEMA", "from_json", "to_json", "to_json_text"]


def to_json(result: RunResult) -> dict[str, Any]:
    """The result as plain values, in the order a reader wants them: verdict first."""
    return {
        "schema": SCHEMA,
        "run_id": result.run_id,
        "verdict": result.verdict.value,
        "interrupted": result.interrupted,
        "cpu_waited": _number(result.cpu_waited),
        "environment": result.environment,
        "time_scale": _number(result.time_scale),
        "gpu": result.gpu,
        "seed": result.seed,
        "not_exercised": list(result.not_exercised),
        "coverage": {
            kind: {"proved": list(each.proved), "unproved": list(each.unproved)}
            for kind, each in result.coverage.items()
        },
        "stack": dict(result.stack),
        "versions": dict(result.versions),
        "experiments": [dict(experiment) for experiment in result.experiments],
        "phases": [_phase(phase) for phase in result.phases],
        "results": [_check(check) for check in result.results],
    }


def to_json_text(result: RunResult) -> str:
    """``to_json`` as an indented document that any strict JSON reader takes, with a newline at its end."""
    text = json.dumps(to_json(result), ensure_ascii=False, allow_nan=False, indent=2)
    return encodable_json(text) + "\n"


def _check(check: CheckResult) -> Mapping[str, Any]:
    return {
        "experiment": check.experiment,
        "check": check.check,
        "verdict": check.verdict.value,
        "measured": _number(check.measured),
        "limit": _number(check.limit),
        "unit": check.unit,
        "summary": check.summary,
        "evidence": list(check.evidence),
    }


def _phase(phase: Phase) -> Mapping[str, Any]:
    return {"name": phase.name, "start_s": _number(phase.start_s), "end_s": _number(phase.end_s)}


def _number(value: float | None) -> float | str | None:
    if value is None or math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else ("+Inf" if value > 0 else "-Inf")
