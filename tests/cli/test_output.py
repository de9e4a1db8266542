"""Whoever reads what a command prints may leave: neither the work nor the exit code knows of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from harness.cli import Commands, exit_code

HARNESS = (sys.executable, "-c", "from harness.cli import main; main()")


@pytest.mark.parametrize(
    ("arguments", "encoding"),
    [(["--help"], "utf-8"), (["list"], "utf-8"), (["list"], "ascii"), (["down", "x"], "utf-8")],
)
def test_the_exit_code_is_the_same_without_a_reader(tmp_path: Path, arguments: list[str], encoding: str) -> None:
    told = {"cwd": tmp_path, "env": {**os.environ, "PYTHONIOENCODING": encoding}, "timeout": 60, "check": False}
    heard = subprocess.run([*HARNESS, *arguments], capture_output=True, **told)  # type: ignore[call-overload]
    read, write = os.pipe()
    os.close(read)
    unheard = subprocess.run([*HARNESS, *arguments], stdout=write, stderr=write, **told)  # type: ignore[call-overload]
    os.close(write)
    assert heard.stdout or heard.stderr
    assert unheard.returncode == heard.returncode


def broken() -> None:
    raise BrokenPipeError(32, "Broken pipe")


def test_a_pipe_to_a_program_that_ended_is_a_failure_of_the_harness(capsys: pytest.CaptureFixture[str]) -> None:
    commands = Commands("harness", commands={"breaks": click.Command("breaks", callback=broken)})
    assert exit_code(commands, ["breaks"]) == 4
    assert "a program that the harness was speaking to has ended" in capsys.readouterr().err
