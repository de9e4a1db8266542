"""Figures beside their bounds, and the sum of what a run may wait for."""

from __future__ import annotations

import pytest

from benchmarks.certification import sum_of_bounds_s
from benchmarks.figure import Figure, table
from harness.model import Experiment
from harness.run.judgement import Inputs
from harness.spec import Spec


@pytest.mark.parametrize(
    ("measured", "ratio", "holds"), [(3.0, 1.0, True), (3.3, 1.1, False), (0.0, 0.0, True), (None, None, False)]
)
def test_a_figure_holds_up_to_its_bound_and_never_unseen(measured: float, ratio: float, holds: bool) -> None:
    figure = Figure("ready", measured, 3.0, "s", "five starts")
    assert figure.ratio == pytest.approx(ratio)
    assert figure.holds is holds


def test_the_table_shows_the_ratio_and_shouts_what_does_not_hold() -> None:
    lines = table([Figure("ready", 1.5, 3.0, "s", "how"), Figure("lag", None, 2.0, "ms", "how")]).splitlines()
    assert lines[2:] == ["| ready | 1.5 s | 3 s | 0.50 | yes | how |", "| lag | – | 2 ms | – | NO | how |"]


def result(*checks: tuple[str, str, float | None]) -> dict[str, object]:
    return {"results": [{"experiment": each, "check": check, "limit": limit} for each, check, limit in checks]}


def inputs(*experiments: Experiment) -> Inputs:
    return Inputs("run", "local", 60.0, 1, "stack", "0", SPEC, experiments)


def experiment(name: str, *holds: str | None) -> Experiment:
    method = [
        {"provider": {"func": "hold", "arguments": {} if hold is None else {"at_least": hold}}} for hold in holds
    ] + [{"provider": {"func": "kill_pod"}}]
    return Experiment(name, name, f"{name}.yaml", "0", (), (), (), {"method": method})


SPEC = Spec(alerts=(), route=None, receivers=())


def test_the_bounds_of_a_run_are_its_start_its_baseline_its_holds_and_the_longest_life_of_an_alert() -> None:
    checks = result(
        ("startup", "stack: ready", 0.0),
        ("hot", "alert Hot: pending", 2.0),
        ("hot", "alert Hot: notified", 1.5),
        ("hot", "alert Hot: notified", 1.5),  # of another instance, at the same time
        ("hot", "alert Slow: pending", 9.0),
        ("hot", "load: p95 during", 100.0),
        ("quiet", "nothing else fired", 0.0),
    )
    run = inputs(experiment("hot", None), experiment("quiet", "3m", "6m"))
    assert sum_of_bounds_s(checks, run) == pytest.approx(3 + 300 / 60 + 9 + (180 + 360) / 60)


def test_a_run_without_experiments_may_take_its_start_and_its_baseline() -> None:
    assert sum_of_bounds_s(result(), inputs()) == pytest.approx(3 + 5)
