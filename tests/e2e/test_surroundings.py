"""Runs beside other runs, as an ordinary user, on a full disk, and of stacks that never come up."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import CHECKOUT, HARNESS, Outcome, Runner

pytestmark = pytest.mark.e2e

STACK = CHECKOUT / "fixtures" / "stack"
WARM = CHECKOUT / "experiments" / "gpu-warm.yaml"
NOBODY = 65534


def test_two_runs_of_one_seed_at_once_do_not_meet(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    runners = [Runner(tmp_path / "a"), Runner(tmp_path / "b")]
    arguments = ["certify", "--experiments", str(CHECKOUT / "experiments" / "gpu-overheats.yaml"), "--seed", "7"]
    started = [each.start(*arguments, "--report", str(each.root / "run")) for each in runners]
    outcomes = []
    for runner, process in zip(runners, started, strict=True):
        out, err = process.communicate(timeout=200)
        outcomes.append(Outcome(process.returncode, out, err, runner.root / "run"))
    assert [each.code for each in outcomes] == [0, 0], [each.out + each.err for each in outcomes]
    instances = [{event["data"]["instance"] for event in each.events("target")} for each in outcomes]
    addresses = [(each.run_dir / "environment.json").read_text(encoding="utf-8") for each in outcomes]
    assert addresses[0] != addresses[1]
    assert all(instances)


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that any user may reach, which pytest's own are not."""
    path = Path(tempfile.mkdtemp(prefix="harness-test-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


def test_an_ordinary_user_needs_no_privilege(open_directory: Path) -> None:
    runner = Runner(open_directory)
    arguments = ["certify", "--experiments", str(WARM), "--report", str(open_directory / "run")]
    if os.geteuid() == 0:
        for path in (open_directory, *open_directory.iterdir()):
            os.chown(path, NOBODY, NOBODY)
        process = runner.start_program(Path("/usr/bin/unshare"), *as_nobody(open_directory), *arguments)
    else:
        process = runner.start(*arguments)
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0, out + err
    assert (open_directory / "run" / "result.json").stat().st_uid == (NOBODY if os.geteuid() == 0 else os.geteuid())


def as_nobody(root: Path) -> list[str]:
    """unshare's arguments for the harness as a user who may do nothing.

    Python and the checkout may lie in a home that others cannot enter: this command alone sees it open, and nothing
    in it but the two.
    """
    needed = [Path(sys.base_prefix), CHECKOUT]
    closed = {each for path in needed for each in path.parents if not each.stat().st_mode & 0o001}
    outermost = [each for each in closed if not closed & set(each.parents)]
    steps = []
    for number, path in enumerate(needed):
        steps.append(f"mkdir {root}/held-{number} && mount --bind {path} {root}/held-{number}")
    steps += [f"mount -t tmpfs -o mode=755 tmpfs {each}" for each in outermost]
    for number, path in enumerate(needed):
        steps.append(f"mkdir -p {path} && mount --bind {root}/held-{number} {path}")
    nobody = f"setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups --inh-caps=-all --bounding-set=-all"
    script = " && ".join([*steps, f'exec {nobody} --no-new-privs {HARNESS} "$@"'])
    return ["--mount", "sh", "-c", script, "sh"]


def on_a_small_disk(runner: Runner, size_bytes: int, *, fill_after_s: float | None = None) -> Outcome:
    """A run whose directory is on a disk of this size, which something else fills up after a while."""
    small = runner.root / "small"
    small.mkdir()
    command = [str(HARNESS), "certify", "--experiments", str(WARM), "--report", str(small / "run")]
    if fill_after_s is not None:
        fill = f"sleep {fill_after_s}; dd if=/dev/zero of={small}/filler bs=64k 2>/dev/null"
        command = ["sh", "-c", f'"$@" & running=$!; ({fill}) & wait $running', "sh", *command]
    sandbox = ["--dev-bind", "/", "/", "--proc", "/proc", "--size", str(size_bytes), "--tmpfs", str(small), "--"]
    process = runner.start_program(Path(shutil.which("bwrap") or "bwrap"), *sandbox, *command)
    out, err = process.communicate(timeout=200)
    return Outcome(process.returncode, out, err, small / "run")


@pytest.mark.parametrize(("size_bytes", "fill_after_s"), [(4096, None), (200_000, None), (8_000_000, 9.0)])
def test_a_full_disk_below_the_runs_directory_is_named(
    runner: Runner, size_bytes: int, fill_after_s: float | None
) -> None:
    outcome = on_a_small_disk(runner, size_bytes, fill_after_s=fill_after_s)
    assert outcome.code == 4, outcome.out + outcome.err
    assert "No space left on device" in outcome.err
    assert "Traceback" not in outcome.err


def test_a_small_disk_that_suffices_is_no_failure(runner: Runner) -> None:
    assert on_a_small_disk(runner, 8_000_000).code == 0


def test_a_stack_that_never_becomes_ready_fails_with_a_report(
    runner: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = Path(shutil.copytree(STACK, tmp_path / "stack"))
    exporters = (stack / "exporters.yaml").read_text(encoding="utf-8")
    command = "[python, -m, harness.system.workloads.gpu_exporter]"
    assert command in exporters
    broken = "[python, -c, \"import sys; sys.exit('no driver here')\"]"
    (stack / "exporters.yaml").write_text(exporters.replace(command, broken), encoding="utf-8")
    outcome = runner.certify("--ready-timeout", "15", stack=stack, experiments=("gpu-warm.yaml",))
    assert outcome.code == 1, outcome.out + outcome.err
    (ready,) = (each for each in outcome.result["results"] if each["check"] == "stack: ready")
    assert (ready["experiment"], ready["verdict"]) == ("startup", "FAIL")
    assert "gpu-exporter-0" in ready["summary"]
    assert "no driver here" in ready["summary"]
    assert "not ready after 15 s" in ready["summary"]
    assert outcome.verdicts("gpu-warm") == {"run": "UNKNOWN"}
    assert "gpu-exporter-0" in (outcome.run_dir / "report.html").read_text(encoding="utf-8")
    assert "Traceback" not in outcome.err
