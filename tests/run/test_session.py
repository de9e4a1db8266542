"""Holding a fault in until those who were told of it will also be told of its end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.clock import RunClock
from harness.evidence.timeline import Timeline
from harness.model import Expectation
from harness.run.session import Session
from harness.spec import Peers
from tests.checks.timelines import HOT, spec

# Two replicas at a compressed scale: the second speaks up to a second after the first.
TWO = Peers("monitoring", "alertmanager-main", 2, 15.0)
GROUP = "{}:{Hot}"


class Script:
    """What happens while the session waits: each step is done once its time, counted from the beginning, has come."""

    def __init__(self, directory: Path, peers: Peers | None) -> None:
        self.timeline = Timeline(directory / "timeline.jsonl", RunClock.start())
        self._steps: list[tuple[float, Callable[[], None]]] = []
        self._begun_s = time.monotonic()
        idle = SimpleNamespace(check=lambda: None)
        running = SimpleNamespace(state=SimpleNamespace(time_scale=60.0, seed=1))
        self.session = Session(
            environment=cast(Any, running),
            spec=replace(spec(), peers=peers),
            timeline=self.timeline,
            injector=cast(Any, idle),
            recorder=cast(Any, idle),
            watch=self._act,
        )

    def at(self, after_s: float, *alerts: tuple[str, float]) -> None:
        """A notification of the group to the pager: status, and since when, for each time the alert fired."""
        self._steps.append((after_s, lambda: self._notify(*alerts)))

    def hold(self) -> float:
        """How long the session held."""
        self.session.begin([Expectation("alert", {"alert": "Hot"})])
        now_s = self.timeline.clock.now_s()
        for state in ("pending", "firing"):
            self.timeline.record("rule", "Hot", {"labels": dict(HOT), "state": state, "at_s": now_s})
        self._begun_s = time.monotonic()
        assert self.session.hold(at_least_s=0.0, alerts=None) == ["Hot"]
        return time.monotonic() - self._begun_s

    def _act(self) -> None:
        while self._steps and time.monotonic() - self._begun_s >= self._steps[0][0]:
            self._steps.pop(0)[1]()

    def _notify(self, *alerts: tuple[str, float]) -> None:
        now_s = round(self.timeline.clock.now_s(), 3)
        for status, starts_at_s in alerts:
            data = {"status": status, "starts_at_s": starts_at_s, "arrived_s": now_s, "group_key": GROUP}
            self.timeline.record("notice", "pager", {"labels": dict(HOT), "alertname": "Hot", **data})


def test_of_a_new_group_one_word_is_enough(tmp_path: Path) -> None:
    script = Script(tmp_path, TWO)
    script.at(0.2, ("firing", 1.0))
    assert script.hold() < 1.4


@pytest.mark.parametrize("peers", [None, replace(TWO, count=1)], ids=["no replicas", "one"])
def test_one_that_is_alone_forgets_nothing(tmp_path: Path, peers: Peers | None) -> None:
    script = Script(tmp_path, peers)
    script._notify(("resolved", -9.0))
    script.at(0.2, ("firing", 1.0))
    assert script.hold() < 1.4


def test_of_an_old_group_every_replica_has_its_turn(tmp_path: Path) -> None:
    script = Script(tmp_path, TWO)
    script._notify(("resolved", -9.0))
    script.at(0.2, ("firing", 1.0))
    assert 1.6 <= script.hold() < 4.0


def test_what_a_replica_made_them_forget_is_told_again_first(tmp_path: Path) -> None:
    script = Script(tmp_path, TWO)
    script._notify(("resolved", -9.0))
    script.at(0.2, ("firing", 1.0))
    script.at(0.7, ("resolved", -9.0))
    script.at(2.5, ("firing", 1.0))
    assert 2.5 <= script.hold() < 5.0
