"""Which pods of a stack are not ready, and what is told of them."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from harness.environments.kube.readiness import diagnose, unready
from harness.stack import Container, Workload
from tests.environments.fake_api import FakeApi
from tests.environments.test_kube_pods import pod, status_of

NOT_READY = [{"type": "Ready", "status": "False", "reason": "ContainersNotReady", "message": "main"}]


def workload(name: str = "w", **changes: Any) -> Workload:
    container = Container("main", "i", (), (), (), {}, (), None, None, {})
    plain = Workload(
        namespace="n",
        name=name,
        kind="Deployment",
        replicas=1,
        labels={},
        annotations={},
        containers=(container,),
        init_containers=(),
        volumes=(),
        restart_policy="Always",
        service_account="default",
        operated=False,
        where="test",
    )
    return dataclasses.replace(plain, **changes)


def of(kind: str, name: str = "w") -> tuple[str, str]:
    return ("ReplicaSet", f"{name}-5d9c7b8f6d") if kind == "Deployment" else (kind, name)


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet", "Job"])
def test_a_workload_is_ready_with_all_its_pods_and_not_with_fewer(kind: str) -> None:
    two = workload(kind=kind, replicas=2)
    first, second = pod("w-1", owner=of(kind)), pod("w-2", owner=of(kind))
    assert unready([two], [first, second]) == {}
    assert unready([two], [first]) == {"w": "1 of 2 pods exist"}
    assert unready([two], []) == {"w": "0 of 2 pods exist"}
    assert unready([dataclasses.replace(two, replicas=0)], []) == {}


def test_a_bare_pod_is_its_own_workload() -> None:
    assert unready([workload(kind="Pod")], [pod("w")]) == {}
    assert unready([workload(kind="Pod")], [pod("other")]) == {"w": "0 of 1 pods exist"}


def test_pods_of_another_namespace_or_kind_do_not_count() -> None:
    set_, elsewhere = pod("w-0", owner=("StatefulSet", "w")), pod("w-x-y", namespace="m", owner=of("Deployment"))
    assert unready([workload()], [set_, elsewhere]) == {"w": "0 of 1 pods exist"}
    both = [workload(), workload(kind="StatefulSet")]
    assert unready(both, [set_, pod("w-x-y", owner=of("Deployment"))]) == {}


def test_a_pod_that_ends_does_not_count_and_is_not_waited_for() -> None:
    ending = pod("w-1", owner=of("Deployment"), metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"})
    assert unready([workload()], [ending]) == {"w": "0 of 1 pods exist"}
    assert unready([workload()], [ending, pod("w-2", owner=of("Deployment"))]) == {}


def test_a_pod_that_has_done_its_work_is_ready_enough() -> None:
    done = pod("w-1", owner=of("Job"), status={"phase": "Succeeded", "conditions": NOT_READY})
    assert unready([workload(kind="Job")], [done]) == {}


def test_a_failed_pod_is_waited_for_only_until_another_took_its_place() -> None:
    job = workload(kind="Job", restart_policy="Never")
    failed = pod("w-1", owner=of("Job"), status={"phase": "Failed", "conditions": NOT_READY})
    assert unready([job], [failed]) == {"w": "0 of 1 pods exist", "w-1": "Ready ContainersNotReady: main"}
    assert unready([job], [failed, pod("w-2", owner=of("Job"))]) == {}
    waiting = pod("w-2", owner=of("Job"), status={"phase": "Running", "conditions": NOT_READY})
    assert list(unready([job], [failed, waiting])) == ["w-2"]


@pytest.mark.parametrize(
    ("status", "why"),
    [
        (
            {
                "conditions": NOT_READY,
                "containerStatuses": [
                    status_of("main", waiting={"reason": "ErrImagePull", "message": "no such image"})
                ],
            },
            "container main: ErrImagePull: no such image",
        ),
        (
            {"conditions": [*NOT_READY, {"type": "ContainersReady", "status": "False", "reason": "x"}]},
            "Ready ContainersNotReady: main",
        ),
        ({"phase": "Pending", "conditions": []}, "phase Pending"),
        (
            {
                "conditions": NOT_READY,
                "initContainerStatuses": [
                    status_of("first", terminated={"exitCode": 0}),
                    status_of("open", waiting={"reason": "CrashLoopBackOff", "message": "back-off 10s"}),
                    status_of("later", waiting={"reason": "PodInitializing"}),
                ],
                "containerStatuses": [status_of("main", waiting={"reason": "PodInitializing"})],
            },
            "container open: CrashLoopBackOff: back-off 10s",
        ),
        (
            {
                "conditions": NOT_READY,
                "containerStatuses": [status_of("main", waiting={"reason": "PodInitializing"})],
            },
            "container main: PodInitializing",
        ),
    ],
)
def test_what_keeps_a_pod_is_told_by_whoever_keeps_it(status: dict[str, Any], why: str) -> None:
    assert unready([workload()], [pod("w-1", owner=of("Deployment"), status=status)]) == {"w-1": why}


def event(name: str, message: str, at: str, kind: str = "Warning") -> dict[str, Any]:
    return {"involvedObject": {"name": name}, "type": kind, "reason": "R", "message": message, "lastTimestamp": at}


def log(container: str, pod: str = "w-1") -> str:
    return f"/api/v1/namespaces/n/pods/{pod}/log?container={container}&tailLines=5"


def test_a_pods_last_warnings_and_last_words_are_told_those_of_its_init_containers_first(api: FakeApi) -> None:
    api.lists(
        "/api/v1/namespaces/n/events",
        event("w-1", "fourth", "2026-01-01T00:00:04Z"),
        event("w-1", "first", "2026-01-01T00:00:01Z"),
        event("w-1", "second", "2026-01-01T00:00:02Z"),
        {**event("w-1", "third", ""), "lastTimestamp": None, "eventTime": "2026-01-01T00:00:03.5Z"},
        event("w-1", "normal", "2026-01-01T00:00:09Z", kind="Normal"),
        event("other", "not ours", "2026-01-01T00:00:09Z"),
    )
    api.answers(log("open"), "cannot open\n")
    api.answers(log("main"), "container is waiting to start", 400)
    status = {"initContainerStatuses": [status_of("open")]}
    told = diagnose("w-1", "why", [pod("w-1", status=status)], api.url)
    assert [line.strip() for line in told.splitlines()] == [
        *("why", "event R: second", "event R: third", "event R: fourth", "cannot open"),
    ]


def test_of_long_output_the_end_is_told(api: FakeApi) -> None:
    api.lists("/api/v1/namespaces/n/events")
    api.answers(log("main"), "".join(f"{number} {'x' * 400}\n" for number in range(9)))
    told = diagnose("w-1", "why", [pod("w-1")], api.url).splitlines()
    assert [line.strip()[:1] for line in told] == ["w", *"45678"]
    assert max(map(len, told)) <= 304


def test_a_workload_without_pods_is_told_of_by_what_its_controllers_say(api: FakeApi) -> None:
    api.lists("/api/v1/namespaces/n/events", event("w-5d9c7b8f6d", "no such account", "2026-01-01T00:00:01Z"))
    api.lists("/api/v1/namespaces/m/events", event("x", "not ours", "2026-01-01T00:00:01Z"))
    others = [pod("x", namespace="m")]
    assert diagnose("w", "0 of 1 pods exist", others, api.url, ["n"]).splitlines() == [
        *("0 of 1 pods exist", "    event R: no such account"),
    ]


@pytest.mark.parametrize(
    ("body", "status"),
    [("<html>", 200), ({"kind": "Status"}, 403), ({"items": [{}]}, 200), ({"items": None}, 200), ([], 200)],
)
def test_what_cannot_be_asked_for_is_left_out(api: FakeApi, body: Any, status: int) -> None:
    api.answers("/api/v1/namespaces/n/events", body, status)
    api.answers(log("main"), "", 500)
    assert diagnose("w-1", "why", [pod("w-1")], api.url) == "why"


def test_an_api_that_is_gone_takes_nothing_from_the_reason() -> None:
    assert diagnose("w-1", "why", [pod("w-1")], "http://127.0.0.1:9") == "why"
