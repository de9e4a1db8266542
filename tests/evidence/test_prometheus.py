"""What the collector makes of Prometheus's answers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from harness.clock import RunClock
from harness.evidence.prometheus import PrometheusCollector
from tests.evidence.conftest import Written
from tests.evidence.scripted import ScriptedServer

RULES, TARGETS, QUERY = "/api/v1/rules", "/api/v1/targets", "/api/v1/query"
HOT: Mapping[str, str] = {"alertname": "Hot", "gpu_id": "0"}


class Story:
    """A Prometheus told poll by poll. Times are seconds of the run; it evaluates once a second."""

    def __init__(self, server: ScriptedServer, written: Written) -> None:
        self.server, self.written = server, written
        self.clock = RunClock.start()
        self.collector = PrometheusCollector(server.url, written, self.clock, 0.5)

    def iso(self, at_s: float) -> str:
        return datetime.fromtimestamp(self.clock.to_unix(at_s), UTC).isoformat().replace("+00:00", "Z")

    def group(self, last_s: float | None, **changed: Any) -> dict[str, Any]:
        rule = {"name": "Hot", "type": "alerting", "health": "ok", "lastError": "", "alerts": []}
        rule |= {key: changed.pop(key) for key in ("health", "lastError", "alerts") if key in changed}
        last = "0001-01-01T00:00:00Z" if last_s is None else self.iso(last_s)
        return {"name": "gpu", "file": "f", "interval": 1.0, "lastEvaluation": last, "rules": [rule], **changed}

    def poll(
        self,
        *groups: dict[str, Any],
        samples: Mapping[str, list[float]] | None = None,
        since: Mapping[float, float] | None = None,
        labels: Mapping[str, str] = HOT,
        targets: list[dict[str, Any]] | None = None,
    ) -> None:
        """One poll that sees these samples of ALERTS, by state, and of ALERTS_FOR_STATE, by their time."""
        self.server.script(RULES, {"data": {"groups": list(groups)}})
        series = [
            {
                "metric": {"__name__": "ALERTS", "alertstate": state, **labels},
                "values": [[self.clock.to_unix(at_s), "1"] for at_s in times],
            }
            for state, times in (samples or {}).items()
        ]
        began = [
            [self.clock.to_unix(at_s), str(math.floor(self.clock.to_unix(since_s)))]
            for at_s, since_s in (since or {}).items()
        ]
        series.append({"metric": {"__name__": "ALERTS_FOR_STATE", **labels}, "values": began})
        self.server.script(QUERY, {"status": "success", "data": {"resultType": "matrix", "result": series}})
        self.server.script(TARGETS, {"data": {"activeTargets": targets or []}})
        self.collector.poll()

    def states(self, labels: Mapping[str, str] = HOT) -> list[tuple[str, float]]:
        rules = self.written.of("rule")
        return [(event.data["state"], event.data["at_s"]) for event in rules if event.data["labels"] == labels]


@pytest.fixture
def story(server: ScriptedServer, written: Written) -> Story:
    return Story(server, written)


def test_an_alert_is_followed_to_the_evaluation(story: Story) -> None:
    story.poll(story.group(9.0))
    story.poll(story.group(11.0), samples={"pending": [10.0, 11.0]})
    story.poll(story.group(13.0), samples={"pending": [10.0, 11.0], "firing": [12.0, 13.0]})
    story.poll(story.group(14.0), samples={"firing": [12.0, 13.0]})
    story.poll(story.group(15.0), samples={"firing": [13.0]})
    assert story.states() == [("pending", 10.0), ("firing", 12.0), ("inactive", 14.0)]


@pytest.mark.parametrize("late_s", [0.0, 0.3, 0.9, 1.2])
def test_evaluations_that_begin_late_for_ever_do_not_make_an_alert_flicker(story: Story, late_s: float) -> None:
    """After a slow start each evaluation begins up to an interval after the time that its samples carry."""
    for due_s in (10.0, 11.0, 12.0, 13.0):
        story.poll(story.group(due_s + late_s), samples={"firing": [10.0, due_s]})
    assert story.states() == [("firing", 10.0)]
    story.poll(story.group(15.0 + late_s), samples={"firing": [13.0]})
    assert story.states() == [("firing", 10.0), ("inactive", 14.0)]


def test_samples_read_twice_do_not_bring_an_alert_back(story: Story) -> None:
    """Each poll reads further back than the one before, also past an alert's end."""
    story.poll(story.group(11.0), samples={"firing": [10.0, 11.0]})
    story.poll(story.group(12.0), samples={"firing": [10.0, 11.0]})
    story.poll(story.group(13.0), samples={"firing": [11.0]})
    assert story.states() == [("firing", 10.0), ("inactive", 12.0)]


def test_an_alert_that_ended_and_came_back_later_is_new(story: Story) -> None:
    story.poll(story.group(11.0), samples={"firing": [11.0]})
    story.poll(story.group(12.0), samples={"firing": [11.0]})
    story.poll(story.group(15.0), samples={"pending": [15.0]}, since={15.0: 15.0})
    assert story.states() == [("firing", 11.0), ("inactive", 12.0), ("pending", 15.0)]


def test_an_alert_that_was_gone_between_two_polls_is_seen_gone(story: Story) -> None:
    story.poll(story.group(11.0), samples={"firing": [11.0]}, since={11.0: 9.0})
    story.poll(story.group(14.0), samples={"firing": [11.0, 14.0]}, since={11.0: 9.0, 14.0: 13.0})
    assert story.states() == [("firing", 11.0), ("inactive", 12.0), ("firing", 14.0)]


def test_an_alert_that_stayed_active_while_nothing_was_evaluated_is_not_seen_gone(story: Story) -> None:
    """Prometheus itself stood still: it says that the alert is active since before."""
    story.poll(story.group(11.0), samples={"firing": [11.0]}, since={11.0: 5.0})
    story.poll(story.group(21.0), samples={"firing": [11.0, 21.0]}, since={11.0: 5.0, 21.0: 5.0})
    assert story.states() == [("firing", 11.0)]


def test_an_alert_that_stayed_active_and_ended_before_the_poll_is_seen_to_end_once(story: Story) -> None:
    """An evaluation was left out, and what the alert did after it is over by the time of the look."""
    story.poll(story.group(11.0), samples={"firing": [11.0]}, since={11.0: 5.0})
    story.poll(story.group(15.0), samples={"firing": [11.0, 13.0]}, since={11.0: 5.0, 13.0: 5.0})
    assert story.states() == [("firing", 11.0), ("inactive", 14.0)]


def test_what_was_pending_when_prometheus_went_away_stayed_so(story: Story) -> None:
    """It restores such an alert, with its begin moved by the time that it was away."""
    story.poll(story.group(11.0), samples={"pending": [11.0]}, since={11.0: 3.0})
    story.poll(story.group(18.0), samples={"pending": [11.0, 18.0]}, since={11.0: 3.0, 18.0: 9.0})
    assert story.states() == [("pending", 11.0)]


def test_an_end_within_the_second_of_the_new_begin_is_seen(story: Story) -> None:
    """Begins are told in whole seconds, and evaluations may be closer together."""
    last_s = story.clock.from_unix(math.floor(story.clock.to_unix(20.0)) + 0.1)
    group = {"interval": 0.25}
    story.poll(story.group(last_s, **group), samples={"firing": [last_s]}, since={last_s: last_s - 5})
    again_s = last_s + 0.5
    story.poll(story.group(again_s, **group), samples={"firing": [last_s, again_s]}, since={again_s: again_s})
    assert [state for state, _ in story.states()] == ["firing", "inactive", "firing"]


def test_instances_are_followed_apart(story: Story) -> None:
    other = {**HOT, "gpu_id": "1"}
    story.poll(story.group(11.0), samples={"firing": [11.0]})
    story.poll(story.group(13.0), samples={"pending": [12.0, 13.0]}, labels=other)
    assert story.states() == [("firing", 11.0), ("inactive", 12.0)]
    assert story.states(other) == [("pending", 12.0)]


def test_a_name_in_two_groups_is_held_to_the_slower_one(story: Story) -> None:
    fast = story.group(14.0, name="fast", interval=1.0)
    slow = story.group(15.0, name="slow", interval=5.0)
    story.poll(fast, slow, samples={"firing": [10.0, 15.0]})
    assert story.states() == [("firing", 10.0)]


def test_an_absent_prometheus_is_a_gap_and_what_happened_meanwhile_is_read_later(
    story: Story, server: ScriptedServer, written: Written
) -> None:
    story.poll(story.group(1.0))
    for _ in range(2):
        server.script(RULES, b"starting", status=503)
        story.collector.poll()
    gaps = written.of("gap")
    assert [gap.name for gap in gaps] == ["prometheus"] * 2
    assert gaps[0].data["from_s"] == gaps[1].data["from_s"] <= gaps[0].data["to_s"]
    story.poll(story.group(7.0), samples={"pending": [3.0], "firing": [4.0, 5.0]})
    assert story.states() == [("pending", 3.0), ("firing", 4.0), ("inactive", 6.0)]


def test_after_an_absence_it_reads_back_to_before_it(story: Story, server: ScriptedServer) -> None:
    story.poll(story.group(1.0))
    server.script(RULES, {"data": {"groups": [story.group(2.0)]}})
    server.script(QUERY, b"too busy", status=503)
    story.collector.poll()
    story.collector.clock = RunClock(story.clock.origin_monotonic_s - 30.0, story.clock.origin_unix_s)  # 30 s pass
    story.poll(story.group(3.0))
    ranges = [params["query"] for path, params in server.requests if path == QUERY]
    reach_ms = int(ranges[-1].rpartition("[")[2].removesuffix("ms]"))
    assert reach_ms >= 31_000


@pytest.mark.parametrize("answer", [b"<html>", {"data": None}, {}, [], {"data": {"groups": [{}]}}, b"null"])
def test_an_answer_that_is_not_prometheus_is_a_gap(
    story: Story, server: ScriptedServer, written: Written, answer: Any
) -> None:
    server.script(RULES, answer)
    if answer == {"data": {"groups": [{}]}}:
        server.script(QUERY, {"data": {"result": []}})
    story.collector.poll()
    assert [event.kind for event in written.events] == ["gap"]
    story.poll(story.group(3.0), samples={"firing": [2.0, 3.0]})
    assert story.states() == [("firing", 2.0)]


def test_nobody_listening_is_a_gap(written: Written) -> None:
    PrometheusCollector("http://127.0.0.1:1", written, RunClock.start(), 0.5).poll()
    assert [event.kind for event in written.events] == ["gap"]


def test_a_proxy_of_the_surroundings_is_not_asked(
    story: Story, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    story.poll(story.group(3.0))
    assert written.of("gap") == []


def test_a_group_that_was_never_evaluated_has_no_time(story: Story, written: Written) -> None:
    story.poll(story.group(None, health="unknown"))
    entry = written.of("evaluation")[0]
    assert (entry.data["last_s"], entry.data["health"]) == (None, "unknown")
    story.poll(story.group(3.0))
    assert [event.data["last_s"] for event in written.of("evaluation")] == [None, 3.0]


def test_a_rule_in_error_is_told_once_and_its_recovery_too(story: Story, written: Written) -> None:
    story.poll(story.group(3.0, health="err", lastError="many-to-many"))
    story.poll(story.group(3.5, health="err", lastError="many-to-many"))
    story.poll(story.group(3.9))
    told = [(event.data["health"], event.data["error"]) for event in written.of("evaluation")]
    assert told == [("err", "many-to-many"), ("ok", "")]


def test_evaluations_are_told_about_once_a_second(story: Story, written: Written) -> None:
    for last_s in (3.0, 3.5, 4.0, 4.5, 4.9, 5.0):
        story.poll(story.group(last_s))
    assert [event.data["last_s"] for event in written.of("evaluation")] == [3.0, 4.0, 5.0]


def test_fractions_of_nanoseconds_are_read(story: Story, written: Written) -> None:
    story.poll(story.group(None, lastEvaluation="2026-01-02T03:04:05.123456789Z"))
    unix_s = datetime(2026, 1, 2, 3, 4, 5, 123456, UTC).timestamp()
    assert written.of("evaluation")[0].data["last_s"] == pytest.approx(story.clock.from_unix(unix_s), abs=0.002)


def test_a_value_that_is_no_number_does_not_hide_the_alert(story: Story, server: ScriptedServer) -> None:
    server.script(RULES, {"data": {"groups": [story.group(3.0)]}})
    metric = {"__name__": "ALERTS", "alertstate": "firing", **HOT}
    result = [{"metric": metric, "values": [[story.clock.to_unix(3.0), "NaN"]]}]
    server.script(QUERY, {"data": {"result": result}})
    server.script(TARGETS, {"data": {"activeTargets": []}})
    story.collector.poll()
    assert story.states() == [("firing", 3.0)]


def test_a_target_that_is_no_longer_discovered_is_gone_until_it_is_again(story: Story, written: Written) -> None:
    target = {"scrapePool": "p", "labels": {"instance": "i"}, "health": "down", "lastError": "refused"}
    other = {**target, "labels": {"instance": "j"}, "health": "up"}
    for targets in ([target, other], [other], [other], [{**target, "health": "up"}, other]):
        story.poll(story.group(3.0), targets=targets)
    told = [(event.data["instance"], event.data["health"]) for event in written.of("target")]
    assert told == [("i", "down"), ("j", "up"), ("i", "gone"), ("i", "up")]


def test_a_target_is_told_when_its_health_changes(story: Story, written: Written) -> None:
    def target(health: str) -> list[dict[str, Any]]:
        return [{"scrapePool": "p", "labels": {"instance": "a"}, "health": health, "lastError": ""}]

    for health in ("up", "up", "down", "up"):
        story.poll(story.group(3.0), targets=target(health))
    assert [event.data["health"] for event in written.of("target")] == ["up", "down", "up"]
    assert {event.name for event in written.of("target")} == {"p"}


class TestScriptedServer:
    """The double itself: it would hide defects if it answered or kept quiet too easily."""

    def test_a_request_nobody_scripted_is_held_against_the_test(self, written: Written) -> None:
        scripted = ScriptedServer()
        try:
            PrometheusCollector(scripted.url, written, RunClock.start(), 0.5).poll()
            with pytest.raises(AssertionError, match="rules"):
                scripted.check()
        finally:
            scripted.stop()

    def test_an_answer_nobody_asked_for_is_held_against_the_test(self) -> None:
        scripted = ScriptedServer()
        try:
            scripted.script(RULES, {})
            with pytest.raises(AssertionError, match="rules"):
                scripted.check()
        finally:
            scripted.stop()
