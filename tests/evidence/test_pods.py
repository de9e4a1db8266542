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


def container(
    pid: int | None, *, running: bool = True, name: str = "server", exit_code: int | None = 137, completes: bool = False
) -> Mapping[str, Any]:
    where = {"pod": "inference-0", "namespace": "n", "workload": "inference", "container": name}
    code = None if running else exit_code
    return {**where, "running": running, "pid": pid, "exit_code": code, "completes": completes}


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


def test_a_start_is_the_first_only_of_a_container_that_never_ran_or_ended_before(written: Written) -> None:
    waiting, ended = container(None, running=False, exit_code=None), container(None, running=False)
    seen(written, [waiting], [container(7)], [ended], [container(9)])
    assert [(event.data["status"], event.data["first"]) for event in written.events] == [
        *(("started", True), ("exited", False), ("started", False)),
    ]


def test_one_that_had_ended_before_the_first_look_is_started_again(written: Written) -> None:
    seen(written, [container(None, running=False, exit_code=1)], [container(9)])
    assert [event.data["first"] for event in written.events] == [False]


def test_whether_a_containers_work_has_an_end_is_told_with_what_it_ended_with(written: Written) -> None:
    seen(written, [container(7, completes=True)], [container(None, running=False, exit_code=0, completes=True)])
    assert [(event.data["completes"], event.data["exit_code"]) for event in written.events] == [(True, 0)]
