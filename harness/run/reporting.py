"""The run's directory: made new, and filled with what the run says."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from harness.errors import InputError, Mistake
from harness.model import Event, RunResult
from harness.report import from_json, to_html, to_json_text, to_junit, to_text
from harness.spec import Spec

REPORTS = Path("reports")
RESULT_FILE = "result.json"


def new_run_directory(asked: Path | None, *, now: datetime) -> Path:
    """The empty directory of a run: the one asked for, or a new one below ``reports`` named after the time.

    Raises InputError when the one asked for holds something already or is no directory.
    """
    if asked is not None:
        if asked.exists() and (not asked.is_dir() or any(asked.iterdir())):
            raise InputError([Mistake("--report", "", f"{asked} is not an empty directory; name a new one")])
        try:
            asked.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError([Mistake("--report", "", f"{asked} cannot be made: {error.strerror}")]) from error
        return asked.resolve()
    name = now.strftime("%Y%m%d-%H%M%S")
    for number in range(1, 100):
        path = REPORTS / (name if number == 1 else f"{name}-{number}")
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            continue
        return path.resolve()
    raise InputError([Mistake("--report", "", f"{REPORTS / name} and 98 more exist already")])


def differences(result: RunResult, run_dir: Path) -> list[str]:
    """What a result says otherwise than the ``result.json`` of its run. Raises InputError when that is damaged."""
    path = run_dir / RESULT_FILE
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError([Mistake(path, "", f"cannot be read: {error}")]) from error
    written = from_json(document, file=str(path))
    found = []
    if written.verdict is not result.verdict:
        found.append(f"verdict {written.verdict.value}, the evidence gives {result.verdict.value}")
    before = Counter(written.results)
    after = Counter(result.results)
    for each in (after - before).keys() | (before - after).keys():
        found.append(f"{each.experiment}: {each.check}")
    return sorted(set(found))


def write_reports(result: RunResult, events: Sequence[Event], spec: Spec, run_dir: Path, *, colour: bool) -> str:
    """The text for the terminal, after ``result.json``, ``junit.xml`` and ``report.html`` were written."""
    (run_dir / RESULT_FILE).write_text(to_json_text(result), encoding="utf-8")
    (run_dir / "junit.xml").write_text(to_junit(result), encoding="utf-8")
    (run_dir / "report.html").write_text(to_html(result, events, spec), encoding="utf-8")
    return to_text(result, colour=colour)
