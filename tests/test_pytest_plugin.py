"""What the pytest plugin collects and refuses; nothing is started here."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]
SHIPPED = CHECKOUT / "experiments"

pytest_plugins = ["pytester"]


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """A directory with two shipped experiments in ``experiments/``, and a stack's manifests beside them."""
    (pytester.path / "experiments").mkdir()
    for name in ("gpu-warm.yaml", "model-volume-full.yaml"):
        shutil.copy(SHIPPED / name, pytester.path / "experiments" / name)
    shutil.copytree(CHECKOUT / "fixtures" / "stack", pytester.path / "deploy")
    return pytester


def collected(pytester: pytest.Pytester, *args: str) -> tuple[list[str], str]:
    result = pytester.runpytest_subprocess("--collect-only", "-q", "-p", "no:randomly", *args)
    out = result.stdout.str() + result.stderr.str()
    return [line.rsplit("::", 1)[-1] for line in result.outlines if "::" in line and not line.startswith("E")], out


def test_every_experiment_file_is_a_test_named_after_it(project: pytest.Pytester) -> None:
    assert collected(project, "experiments")[0] == ["gpu-warm", "model-volume-full"]
    assert collected(project, "experiments", "-k", "warm")[0] == ["gpu-warm"]
    assert collected(project, "experiments/gpu-warm.yaml")[0] == ["gpu-warm"]


def test_other_yaml_files_are_no_tests(project: pytest.Pytester) -> None:
    (project.path / "values.yaml").write_text("a: [1, 2\n", encoding="utf-8")
    (project.path / "list.json").write_text("[1]", encoding="utf-8")
    assert collected(project)[0] == ["gpu-warm", "model-volume-full"]


def test_a_mistake_is_an_error_with_file_and_key_and_no_silence(project: pytest.Pytester) -> None:
    path = project.path / "experiments" / "gpu-warm.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("celsius: 76", "celsius: warm"), encoding="utf-8")
    names, out = collected(project, "experiments")
    assert names == ["model-volume-full"]
    assert "gpu-warm.yaml: method[0].provider.arguments.celsius: got 'warm'" in out
    assert "Traceback" not in out


@pytest.mark.parametrize("text", ["title: [", "title: nothing else\n", "\x00", "[]"])
def test_a_broken_file_among_the_experiments_is_an_error(project: pytest.Pytester, text: str) -> None:
    (project.path / "experiments" / "broken.yaml").write_text(text, encoding="utf-8")
    names, out = collected(project, "experiments")
    assert names == ["gpu-warm", "model-volume-full"]
    assert "broken.yaml" in out
    assert "1 error" in out


def test_an_alert_that_the_stack_does_not_have_is_an_error(project: pytest.Pytester) -> None:
    rules = project.path / "deploy" / "rules.yaml"
    rules.write_text(rules.read_text(encoding="utf-8").replace("DiskFilling", "DiskFull"), encoding="utf-8")
    names, out = collected(project, "experiments", "--stack", "deploy")
    assert names == ["gpu-warm"]
    assert "the stack selects no rule 'DiskFilling'" in out


def test_a_broken_stack_is_one_clear_error(project: pytest.Pytester) -> None:
    (project.path / "deploy" / "rules.yaml").write_text("kind: [", encoding="utf-8")
    _, out = collected(project, "experiments", "--stack", "deploy")
    assert "rules.yaml" in out
    assert "INTERNALERROR" not in out


@pytest.mark.parametrize(
    "arguments",
    [
        ("--time-scale", "0"),
        ("--time-scale", "fast"),
        ("--load-rate", "nan"),
        ("--run-seed", "-1"),
        ("--environment", "moon"),
        *(("--ready-timeout", "0"), ("--ready-timeout", "inf"), ("--ready-timeout", "soon")),
    ],
)
def test_a_wrong_option_is_refused(project: pytest.Pytester, arguments: tuple[str, str]) -> None:
    _, out = collected(project, "experiments", *arguments)
    assert arguments[0] in out
    assert "gpu-warm" not in out.splitlines()
    assert "Traceback" not in out


def test_a_session_without_experiments_starts_and_writes_nothing(project: pytest.Pytester) -> None:
    project.makepyfile(test_mine="def test_mine(stack):\n    assert stack.spec.alert('DiskFilling')\n")
    result = project.runpytest_subprocess("test_mine.py")
    result.assert_outcomes(passed=1)
    assert not (project.path / "reports").exists()
    assert "harness" not in [line.strip("= ") for line in result.outlines]


@pytest.mark.parametrize(
    ("arguments", "found"),
    [((), False), (("--environment", "kind"), True)],
)
def test_what_needs_a_cluster_is_collected_where_there_is_one(arguments: tuple[str, ...], found: bool) -> None:
    """The shipped experiments, as README has users run them."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "experiments"]
    done = subprocess.run(
        [*command, *arguments], cwd=CHECKOUT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout
    assert ("node-not-ready" in done.stdout) is found
    assert "gpu-overheats" in done.stdout
