"""What the collector makes of the notification receiver's answers."""

from __future__ import annotations

from typing import Any

import pytest

from harness.clock import RunClock
from harness.evidence.notices import NoticeCollector
from tests.evidence.conftest import Written
from tests.evidence.scripted import ScriptedServer

PATH = "/notifications"
CLOCK = RunClock(0.0, 1_700_000_000.0)


def alert(name: str = "Hot", status: str = "firing", **more: Any) -> dict[str, Any]:
    times = {"startsAt": "2023-11-14T22:13:30Z", "endsAt": "0001-01-01T00:00:00Z"}
    return {"status": status, "labels": {"alertname": name}, **times, **more}


def delivery(seq: int, *alerts: dict[str, Any], receiver: str = "pager") -> dict[str, Any]:
    body = {"receiver": receiver, "groupKey": "{}:{}", "alerts": list(alerts)}
    return {"seq": seq, "arrived_unix_s": 1_700_000_012.5, "path": "/", "receiver": receiver, "body": body}


def page(*deliveries: dict[str, Any], last: int | None = None) -> dict[str, Any]:
    return {"notifications": list(deliveries), "last": last if last is not None else deliveries[-1]["seq"]}


@pytest.fixture
def collector(server: ScriptedServer, written: Written) -> NoticeCollector:
    return NoticeCollector(server.url, written, CLOCK)


def test_each_alert_of_a_delivery_is_a_notice(
    collector: NoticeCollector, server: ScriptedServer, written: Written
) -> None:
    server.script(PATH, page(delivery(1, alert("Hot"), alert("Cold", "resolved", endsAt="2023-11-14T22:13:40.25Z"))))
    collector.poll()
    assert [(event.kind, event.name, event.data["status"]) for event in written.events] == [
        ("notice", "pager", "firing"),
        ("notice", "pager", "resolved"),
    ]
    hot, cold = (event.data for event in written.events)
    assert (hot["arrived_s"], hot["starts_at_s"], hot["ends_at_s"]) == (12.5, 10.0, None)
    assert (cold["alertname"], cold["ends_at_s"]) == ("Cold", 20.25)


def test_only_what_is_new_is_asked_for(collector: NoticeCollector, server: ScriptedServer, written: Written) -> None:
    server.script(PATH, page(delivery(1, alert()), delivery(2, alert())))
    server.script(PATH, page(last=2))
    collector.poll()
    collector.poll()
    assert [params for _, params in server.requests] == [{"after": "0"}, {"after": "2"}]
    assert len(written.events) == 2


def test_a_receiver_that_started_anew_is_a_gap_and_is_read_from_its_beginning(
    collector: NoticeCollector, server: ScriptedServer, written: Written
) -> None:
    server.script(PATH, page(delivery(5, alert("Hot"))))
    server.script(PATH, page(last=1))
    server.script(PATH, page(delivery(1, alert("Cold"))))
    for _ in range(3):
        collector.poll()
    assert [event.kind for event in written.events] == ["notice", "gap", "notice"]
    assert "anew" in written.of("gap")[0].data["error"]
    assert written.events[-1].data["alertname"] == "Cold"
    assert server.requests[-1][1] == {"after": "0"}


@pytest.mark.parametrize("answer", [b"<html>", b"null", {"last": 1}, {"last": None, "notifications": []}, []])
def test_an_answer_that_is_not_the_receivers_is_a_gap_and_nothing_is_read_twice(
    collector: NoticeCollector, server: ScriptedServer, written: Written, answer: Any
) -> None:
    server.script(PATH, page(delivery(3, alert())))
    server.script(PATH, answer)
    server.script(PATH, page(last=3))
    for _ in range(3):
        collector.poll()
    assert [event.kind for event in written.events] == ["notice", "gap"]
    assert server.requests[-1][1] == {"after": "3"}


def test_one_gap_is_told_from_its_beginning_until_it_is_over(
    collector: NoticeCollector, server: ScriptedServer, written: Written
) -> None:
    server.script(PATH, page(last=0))
    server.script(PATH, b"", status=503)
    server.script(PATH, b"", status=503)
    server.script(PATH, page(delivery(1, alert())))
    for _ in range(4):
        collector.poll()
    first, second = written.of("gap")
    assert first.data["from_s"] == second.data["from_s"] <= first.data["to_s"] <= second.data["to_s"]
    assert len(written.of("notice")) == 1


def test_a_delivery_without_labels_or_with_odd_times_hides_nothing(
    collector: NoticeCollector, server: ScriptedServer, written: Written
) -> None:
    odd = {"status": "firing", "startsAt": "yesterday"}
    server.script(PATH, page(delivery(1, odd), delivery(2, alert())))
    collector.poll()
    assert [event.data["alertname"] for event in written.events] == [None, "Hot"]
    assert written.events[0].data["starts_at_s"] is None


def test_nobody_listening_is_a_gap(written: Written) -> None:
    NoticeCollector("http://127.0.0.1:1", written, CLOCK).poll()
    assert [event.kind for event in written.events] == ["gap"]
