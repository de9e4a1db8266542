"""Bad input: one clear line for each mistake, exit 3, nothing touched, no traceback."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.e2e.conftest import CHECKOUT, Runner

pytestmark = pytest.mark.e2e

STACK = CHECKOUT / "fixtures" / "stack"
EXPERIMENT = CHECKOUT / "experiments" / "gpu-overheats.yaml"


def test_mistakes_of_stack_and_experiment_are_all_named_with_file_and_key(runner: Runner, tmp_path: Path) -> None:
    stack = Path(shutil.copytree(STACK, tmp_path / "stack"))
    rules = (stack / "rules.yaml").read_text(encoding="utf-8")
    (stack / "rules.yaml").write_text(rules.replace("training_loss > 10", "training_loss >> 10", 1), encoding="utf-8")
    experiment = tmp_path / "hot.yaml"
    text = EXPERIMENT.read_text(encoding="utf-8")
    experiment.write_text(
        text.replace("celsius: 86", "celsius: warm").replace("p95: 1s", "p95: soon"), encoding="utf-8"
    )
    outcome = runner.run(
        "certify", "--stack", str(stack), "--experiments", str(experiment), "--report", str(tmp_path / "run")
    )
    assert outcome.code == 3
    lines = outcome.err.splitlines()
    assert any("rules.yaml" in line and "spec.groups[0].rules[0].expr" in line for line in lines), outcome.err
    assert any("hot.yaml" in line and "method[0].provider.arguments.celsius" in line for line in lines)
    assert any("hot.yaml" in line and "extensions[0].expect.load.during.p95" in line for line in lines)
    assert "Traceback" not in outcome.err
    assert not (tmp_path / "run").exists()
    assert runner.left_outside() == []


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--stack", "nowhere"], "nowhere"),
        (["--experiments", "nothing.yaml"], "nothing.yaml"),
        (["--time-scale", "fast"], "--time-scale"),
        (["--time-scale", "0"], "--time-scale"),
        (["--time-scale", "nan"], "--time-scale"),
        (["--load-rate", "nan"], "--load-rate"),
        (["--seed", "-1"], "--seed"),
        (["--environment", "moon"], "--environment"),
        (["--unknown"], "--unknown"),
    ],
)
def test_a_wrong_argument_is_named(runner: Runner, arguments: list[str], named: str) -> None:
    outcome = runner.run("certify", *arguments)
    assert outcome.code == 3
    assert named in outcome.err
    assert "Traceback" not in outcome.err
    assert runner.left_outside() == []


def test_a_report_directory_in_use_is_refused(runner: Runner, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine.txt").write_text("keep", encoding="utf-8")
    outcome = runner.run("certify", "--report", str(tmp_path / "run"))
    assert outcome.code == 3
    assert "--report" in outcome.err
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["mine.txt"]


def test_a_missing_program_is_named_with_its_package(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(runner.root))
    outcome = runner.certify(experiments=("gpu-overheats.yaml",))
    assert outcome.code == 4
    assert "bubblewrap" in outcome.err
    assert "Traceback" not in outcome.err
