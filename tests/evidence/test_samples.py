"""Samples of what a rule looks at, from a scripted Prometheus."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from harness.clock import RunClock
from harness.evidence.samples import SampleReader
from tests.evidence.conftest import Written

Answer = Callable[[Any], str]


def reader(url: str, written: Written) -> SampleReader:
    return SampleReader(url, written, RunClock.start())


def series(number: int, *values: tuple[float, str]) -> dict[str, Any]:
    return {"metric": {"__name__": "x", "pod": str(number)}, "values": [list(each) for each in values]}


def success(*found: dict[str, Any]) -> dict[str, Any]:
    return {"status": "success", "data": {"result": list(found)}}


def test_every_point_is_one_sample_with_its_labels(answering: Answer, written: Written) -> None:
    url = answering(success(series(0, (1e9, "1.5"), (1e9 + 1, "NaN"))))
    reader(url, written).read("Hot", "x", from_s=0.0, to_s=8.0)
    assert [(e.name, e.data["labels"]) for e in written.of("sample")] == [("Hot", {"pod": "0"})] * 2
    first, second = (e.data["value"] for e in written.of("sample"))
    assert (first, second != second) == (1.5, True)


def test_series_beyond_the_sixth_are_left_out_and_counted(answering: Answer, written: Written) -> None:
    url = answering(success(*(series(number, (1e9, "1"), (1e9 + 1, str(number))) for number in range(9))))
    reader(url, written).read("Hot", "x", from_s=0.0, to_s=8.0)
    assert [e.data["labels"]["pod"] for e in written.of("sample")][::2] == ["8", "7", "6", "5", "4", "3"]
    assert [e.data["error"] for e in written.of("note")] == ["3 of 9 series were left out"]


@pytest.mark.parametrize("answer", [{"status": "error", "error": "bad"}, [], {"status": "success"}, b"<html>"])
def test_what_prometheus_does_not_answer_is_noted(answering: Answer, written: Written, answer: Any) -> None:
    reader(answering(answer), written).read("Hot", "x", from_s=0.0, to_s=8.0)
    assert [e.name for e in written.events] == ["not sampled"]


def test_an_absent_prometheus_is_noted(written: Written) -> None:
    reader("http://127.0.0.1:9", written).read("Hot", "x", from_s=0.0, to_s=8.0)
    assert [e.name for e in written.events] == ["not sampled"]
