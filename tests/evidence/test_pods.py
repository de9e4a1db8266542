"""Which pods run: changes are events, the first look and an absent environment are not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.errors import HarnessError
from harness.evidence.pods import PodCollector
from tests.evidence.conftest import Written


class Environment:
    def __init__(self) -> None:
        self.states: list[Mapping[str, Any]] | None = []

    def container_states(self) -> Sequence[Mapping[str, Any]]:
        if self.states is None:
            raise HarnessError("the supervisor does not answer")
        return self.states


def container(pid: int | None, *, running: bool = True, name: str = "server") -> Mapping[str, Any]:
    where = {"pod": "inference-0", "namespace": "n", "workload": "inference", "container": name}
    return {**where, "running": running, "pid": pid, "exit_code": None if running else 137}


def seen(written: Written, *looks: list[Mapping[str, Any]] | None) -> list[tuple[str, Any]]:
    environment = Environment()
    collector = PodCollector(environment, written)
    for states in looks:
        environment.states = states
        collector.poll()
    return [(event.kind, event.data.get("status")) for event in written.events]


def test_what_ran_at_the_first_look_is_no_event(written: Written) -> None:
    assert seen(written, [container(7)], [container(7)]) == []


def test_an_end_and_a_start_are_told_with_their_count(written: Written) -> None:
    looks = [[container(7)], [container(None, running=False)], [container(9)], [container(11)]]
    assert seen(written, *looks) == [("pod", "exited"), ("pod", "started"), ("pod", "started")]
    assert [event.data["restarts"] for event in written.events] == [0, 1, 2]
    assert written.events[0].data["exit_code"] == 137


def test_an_environment_that_cannot_be_asked_is_a_gap(written: Written) -> None:
    assert seen(written, [container(7)], None, [container(7)]) == [("gap", None)]


def test_a_restart_while_it_could_not_be_asked_is_seen_afterwards(written: Written) -> None:
    assert seen(written, [container(7)], None, [container(9)]) == [("gap", None), ("pod", "started")]


def test_a_pod_that_is_gone_and_its_successor_are_events(written: Written) -> None:
    looks = seen(written, [container(7)], [], [container(9)])
    assert looks == [("pod", "gone"), ("pod", "started")]


def test_a_pod_that_appears_without_running_yet_is_no_event_until_it_does(written: Written) -> None:
    assert seen(written, [], [container(None, running=False)]) == []
    assert seen(written, [], [container(None, running=False)], [container(9)]) == [("pod", "started")]
