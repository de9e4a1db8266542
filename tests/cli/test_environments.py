"""``harness heal`` and ``harness down``: every environment is tried, wherever a run keeps it and whatever is wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness.cli import cli, exit_code
from harness.environments.description import STATE_FILE
from harness.environments.processes import process_started
from harness.faults.ledger import LEDGER_FILE, Ledger
from tests.environments.test_kube_state import state as of_a_cluster
from tests.run.test_judgement import state

HARNESS = (sys.executable, "-c", "from harness.cli import main; main()")


@pytest.fixture
def reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``reports/`` of the current directory."""
    monkeypatch.chdir(tmp_path)
    made = tmp_path / "reports"
    made.mkdir()
    return made


def killed(run_dir: Path) -> Path:
    """A run whose local environment went with it, and whose ledger says nothing of that yet."""
    run_dir.mkdir(parents=True)
    state(run_dir).save()
    Ledger(run_dir).open("gpu-lost", {"gpu": 0})
    return run_dir


def is_healed(run_dir: Path) -> bool:
    return not Ledger(run_dir).outstanding()


def test_of_a_run_in_several_environments_each_is_healed(reports: Path) -> None:
    runs = [killed(reports / "a"), killed(reports / "b" / "local"), killed(reports / "b" / "kind")]
    assert exit_code(cli, ["heal"]) == 0
    assert all(map(is_healed, runs))


def test_such_a_run_is_named_by_its_own_directory(reports: Path, capsys: pytest.CaptureFixture[str]) -> None:
    killed(reports / "a")
    run = killed(reports / "b" / "local").parent
    assert exit_code(cli, ["down", str(run)]) == 0
    assert capsys.readouterr().out == f"already down: {run}\n"
    assert exit_code(cli, ["heal", str(run)]) == 0
    assert is_healed(run / "local")
    assert not is_healed(reports / "a")


@pytest.mark.parametrize("command", ["heal", "down"])
def test_a_directory_in_which_no_environment_is_described_is_bad_input(
    reports: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    killed(reports / "b" / "of-no-environment")
    assert exit_code(cli, [command, str(reports / "b")]) == 3
    assert f"b holds no {STATE_FILE}" in capsys.readouterr().err


def of_another_version(run_dir: Path) -> None:
    path = run_dir / STATE_FILE
    raw = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**raw, "unheard_of": 1}), encoding="utf-8")


def damaged(run_dir: Path) -> None:
    (run_dir / STATE_FILE).write_text("{", encoding="utf-8")


def with_a_damaged_ledger(run_dir: Path) -> None:
    (run_dir / LEDGER_FILE).write_text("[]\n", encoding="utf-8")


@pytest.mark.parametrize("spoilt", [of_another_version, damaged, with_a_damaged_ledger])
def test_one_that_cannot_be_read_keeps_no_other_from_being_healed(
    reports: Path, capsys: pytest.CaptureFixture[str], spoilt: object
) -> None:
    runs = [killed(reports / name) for name in ("a", "b", "c")]
    spoilt(runs[1])  # type: ignore[operator]
    assert exit_code(cli, ["heal"]) == 4
    assert is_healed(runs[0])
    assert is_healed(runs[2])
    told = capsys.readouterr().err.splitlines()
    assert told[0].startswith("reports/b: not healed: ")
    assert told[-1] == "the harness failed: something may still be broken in reports/b"


def test_a_reader_who_leaves_keeps_nothing_from_being_healed(reports: Path) -> None:
    runs = [killed(reports / name) for name in ("a", "b", "c")]
    read, write = os.pipe()
    os.close(read)
    healed = subprocess.run([*HARNESS, "heal"], stdout=write, stderr=subprocess.PIPE, timeout=60, check=False)
    os.close(write)
    assert (healed.returncode, healed.stderr) == (0, b"")
    assert all(map(is_healed, runs))


def test_one_that_cannot_be_taken_down_keeps_no_other_standing(
    reports: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lent = replace(of_a_cluster(reports / "a"), environment="kube", cluster="", keep=True, lent=True)
    (reports / "a").mkdir()
    lent.save()
    Path(lent.kubeconfig).touch()
    (reports / "kubectl").write_text("#!/bin/sh\necho no such server >&2\nexit 1\n", encoding="utf-8")
    (reports / "kubectl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{reports}:{os.environ['PATH']}")
    run = killed(reports / "b")
    with subprocess.Popen(["sleep", "60"]) as node:
        started = process_started(node.pid)
        assert started is not None
        replace(state(run), pid=node.pid, pid_started=started).save()
        assert exit_code(cli, ["down"]) == 4
        assert node.wait(timeout=10) != 0
    told = capsys.readouterr()
    assert told.out == f"down: {run}\n"
    assert f"not down: {reports / 'a'}: " in told.err
    assert "no such server" in told.err


def test_without_runs_there_is_nothing_to_heal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert exit_code(cli, ["heal"]) == 0
