"""How long a run watches what nobody disturbs."""

from __future__ import annotations

import pytest

from harness.run.settling import baseline_s
from tests.checks.timelines import alert_spec, spec


@pytest.mark.parametrize(("interval_s", "lasts_s"), [(30.0, 300.0), (150.0, 300.0), (600.0, 1200.0)])
def test_the_baseline_holds_two_evaluations_of_the_slowest_group(interval_s: float, lasts_s: float) -> None:
    assert baseline_s(spec(alert_spec(), alert_spec("Slow", evaluation_interval_s=interval_s))) == lasts_s
