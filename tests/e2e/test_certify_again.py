"""Everything that is shipped, certified again, in another way or another time."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import CHECKOUT, Outcome, Runner, lengthy

pytestmark = pytest.mark.e2e


@lengthy
def test_it_passes_as_tests_of_pytest_in_an_order_of_their_own(runner: Runner) -> None:
    run_dir = runner.root / "run"
    process = runner.start_program(
        Path(sys.executable),
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        str(CHECKOUT / "experiments"),
        "--run-dir",
        str(run_dir),
    )
    out, err = process.communicate(timeout=600)
    outcome = Outcome(process.returncode, out, err, run_dir)
    assert outcome.code == 0, out + err
    assert f"{len(list((CHECKOUT / 'experiments').glob('*.yaml'))) + 1} passed" in out
    assert outcome.result["verdict"] == "PASS"


@lengthy
@pytest.mark.parametrize("time_scale", [15, 120])
def test_the_verdict_does_not_depend_on_the_time_scale(runner: Runner, time_scale: int) -> None:
    three = ("gpu-overheats.yaml", "model-volume-full.yaml", "gpu-warm.yaml")
    outcome = runner.certify("--time-scale", str(time_scale), experiments=three, timeout_s=600)
    short = [each for each in outcome.result["results"] if each["verdict"] != "PASS"]
    assert (outcome.code, short) == (0, []), outcome.out
