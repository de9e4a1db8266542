"""Panel queries, asked of a scripted Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlparse

import pytest

from harness.evidence.panels import PanelCollector
from tests.evidence.conftest import Written
from tests.http_server import Answering, LoopbackServer


class Answers:
    """Answers each query with what it is told to, and remembers what was asked."""

    def __init__(self) -> None:
        self.by_query: dict[str, Any] = {}
        self.asked: list[str] = []
        self.url = ""


@pytest.fixture
def answers() -> Iterator[Answers]:
    held = Answers()

    class Handler(Answering):
        def do_GET(self) -> None:
            (query,) = parse_qs(urlparse(self.path).query)["query"]
            held.asked.append(query)
            self.answer(200, held.by_query[query])

    server = LoopbackServer(Handler)
    held.url = server.url
    yield held
    server.stop()


def returned(series: int) -> dict[str, Any]:
    return {"status": "success", "data": {"result": [{}] * series}}


def rounds(collector: PanelCollector, count: int) -> None:
    for _ in range(8 * count):
        collector.poll()


def test_each_change_is_told_and_what_returned_data_is_not_asked_again(written: Written, answers: Answers) -> None:
    collector = PanelCollector(answers.url, written, [("A", "a"), ("B", "b")])
    answers.by_query = {"a": returned(2), "b": returned(0)}
    rounds(collector, 2)
    answers.by_query["b"] = returned(1)
    rounds(collector, 2)
    told = [(event.name, event.data["series"]) for event in written.of("panel")]
    assert told == [("A", 2), ("B", 0), ("B", 1)]
    assert answers.asked == ["a", "b", "b", "b"]


def test_a_query_that_prometheus_refuses_is_told_with_its_error(written: Written, answers: Answers) -> None:
    answers.by_query = {"a": {"status": "error", "error": "many-to-many matching"}}
    rounds(PanelCollector(answers.url, written, [("A", "a")]), 1)
    assert [(e.data["series"], e.data["error"]) for e in written.of("panel")] == [(0, "many-to-many matching")]


@pytest.mark.parametrize("nonsense", [b"<html>", {"status": "success"}, []])
def test_an_answer_that_is_not_prometheuss_is_no_evidence(written: Written, answers: Answers, nonsense: Any) -> None:
    answers.by_query = {"a": nonsense}
    rounds(PanelCollector(answers.url, written, [("A", "a")]), 1)
    assert written.events == []


def test_a_prometheus_that_does_not_answer_is_no_evidence(written: Written) -> None:
    rounds(PanelCollector("http://127.0.0.1:9", written, [("A", "a")]), 1)
    assert written.events == []
