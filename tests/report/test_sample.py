"""The report in ``reports/sample``, which people read before they run anything."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from harness.model import Verdict
from harness.report import from_json

SAMPLE = Path(__file__).parents[2] / "reports" / "sample"
MOST_BYTES = 1_000_000


def test_its_result_is_one_that_this_version_reads() -> None:
    result = from_json(json.loads((SAMPLE / "result.json").read_text(encoding="utf-8")))
    assert result.verdict is Verdict.PASS
    assert len(result.experiments) == 3
    assert result.verdict.value in (SAMPLE / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["result.json", "report.html"])
def test_it_is_small_and_knows_no_path_of_the_machine_that_made_it(name: str) -> None:
    text = (SAMPLE / name).read_text(encoding="utf-8")
    assert len(text) < MOST_BYTES
    assert re.findall(r"/(?:home|root|tmp|work|Users|builds?)/[^\s\"<]*", text) == []
