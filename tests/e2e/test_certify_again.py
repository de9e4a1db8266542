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
    pytest_args = (Path(sys.executable), "-m", "pytest", "-q", "-p", "no:cacheprovider", str(CHECKOUT / "experiments"))
    every = sorted(path.stem for path in (CHECKOUT / "experiments").glob("*.yaml"))
    collected, _ = runner.start_program(*pytest_args, "--collect-only").communicate(timeout=60)
    assert [name for name in every if f"::{name}\n" not in collected] == []
    # All of them are certified elsewhere; of a third of them pytest, too, says so.
    words = ("overheats", "memory", "volume", "killed")
    chosen = [name for name in every if any(word in name for word in words)]
    process = runner.start_program(*pytest_args, "-k", " or ".join(words), "--run-dir", str(run_dir))
    out, err = process.communicate(timeout=600)
    outcome = Outcome(process.returncode, out, err, run_dir)
    assert outcome.code == 0, out + err
    # One more: a test among the experiments that is none of them.
    assert f"{len(chosen) + 1} passed" in out
    assert outcome.result["verdict"] == "PASS"


@lengthy
@pytest.mark.parametrize("time_scale", [15, 120])
def test_the_verdict_does_not_depend_on_the_time_scale(runner: Runner, time_scale: int) -> None:
    three = ("gpu-overheats.yaml", "model-volume-full.yaml", "gpu-warm.yaml")
    outcome = runner.certify("--time-scale", str(time_scale), experiments=three, timeout_s=600)
    short = [each for each in outcome.result["results"] if each["verdict"] != "PASS"]
    assert (outcome.code, short) == (0, []), outcome.out
