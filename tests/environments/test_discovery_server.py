"""The discovery beside a Prometheus: what it asks the API server, how it keeps up, and what becomes of a refusal."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests

from harness.clock import wait_until
from harness.environments.kube.discovery import Discovery, serve
from tests.environments.test_discovery_targets import address, endpoints, named, pod, subset
from tests.environments.watched_api import WatchedApi


@pytest.fixture
def api() -> Iterator[WatchedApi]:
    with WatchedApi() as api:
        yield api


@pytest.fixture
def account(tmp_path: Path) -> Path:
    (tmp_path / "token").write_text("first", encoding="utf-8")
    return tmp_path


Start = Callable[..., str]


@pytest.fixture
def start(account: Path) -> Iterator[Start]:
    """Serves a discovery of this API server; the result is its URL for targets."""
    with ExitStack() as cleanup:

        def started(url: str, **settings: Any) -> str:
            discovery = Discovery(url, account, **{"retry_s": 0.05, **settings})
            cleanup.callback(discovery.close)
            server = serve(discovery, 0)
            thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.02))
            thread.start()
            cleanup.callback(server.server_close)
            cleanup.callback(thread.join)
            cleanup.callback(server.shutdown)
            assert server.server_address[0] == "127.0.0.1"
            return f"http://127.0.0.1:{server.server_port}/targets"

        yield started


def get(url: str) -> requests.Response:
    return requests.get(url, timeout=10)


def addresses(answer: requests.Response) -> list[str]:
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    return [target["targets"][0] for target in answer.json()]


def test_endpoints_are_found_with_the_pods_and_services_they_belong_to(api: WatchedApi, start: Start) -> None:
    for space in ("n", "m"):
        served = subset(("web", 8000), ready=[address(namespace=space)])
        api.lists(f"/api/v1/namespaces/{space}/endpoints", endpoints(served, namespace=space))
        api.lists(f"/api/v1/namespaces/{space}/services", named("s", labels={"app": space}, namespace=space))
        api.lists(f"/api/v1/namespaces/{space}/pods", pod(metadata={"namespace": space}))
    answer = get(f"{start(api.url)}?role=endpoints&namespace=n&namespace=m")
    assert addresses(answer) == ["10.0.0.7:8000", "10.0.0.7:8002"] * 2
    labels = [target["labels"] for target in answer.json()]
    assert [each["__meta_kubernetes_service_label_app"] for each in labels] == ["n", "n", "m", "m"]
    assert all(each["__meta_kubernetes_pod_name"] == "p" for each in labels)
    assert {each["authorization"] for each in api.headers} == {"Bearer first"}


def test_without_a_namespace_all_of_them_are_looked_at(api: WatchedApi, start: Start) -> None:
    api.lists("/api/v1/pods", pod(), pod("q", ip="10.0.0.8", metadata={"namespace": "m"}))
    assert len(addresses(get(f"{start(api.url)}?role=pod"))) == 4


def test_an_empty_cluster_has_no_targets(api: WatchedApi, start: Start) -> None:
    api.answers("/api/v1/namespaces/n/pods", {"items": None})
    assert addresses(get(f"{start(api.url)}?role=pod&namespace=n")) == []


def test_all_that_ask_at_once_and_later_share_one_list(api: WatchedApi, start: Start) -> None:
    api.lists("/api/v1/namespaces/n/pods", pod())
    api.lists("/api/v1/namespaces/n/services")
    api.lists("/api/v1/namespaces/n/endpoints")
    url = start(api.url)
    for _ in range(2):
        with ThreadPoolExecutor(8) as pool:
            roles = ["pod", "endpoints"] * 8
            answers = list(pool.map(lambda role: get(f"{url}?role={role}&namespace=n"), roles))
        assert [len(addresses(answer)) for answer in answers] == [2, 0] * 8
    lists = [path for path in api.asked if "watch" not in path]
    assert sorted(lists) == [
        f"/api/v1/namespaces/n/{kind}?resourceVersion=0" for kind in ("endpoints", "pods", "services")
    ]


def test_each_change_is_taken_in(api: WatchedApi, start: Start) -> None:
    path = "/api/v1/namespaces/n/pods"
    api.lists(path, pod(), pod("q", ip="10.0.0.8"))
    url = f"{start(api.url)}?role=pod&namespace=n"
    assert len(addresses(get(url))) == 4
    api.lists(path, pod("q", ip="10.0.0.8"), pod("r", ip="10.0.0.9"))
    expected = ["10.0.0.8:8000", "10.0.0.8:8002", "10.0.0.9:8000", "10.0.0.9:8002"]
    wait_until(lambda: addresses(get(url)) == expected, what="one pod for another", timeout_s=20)
    api.lists(path, pod("q", ip="10.0.0.5"))
    expected = ["10.0.0.5:8000", "10.0.0.5:8002"]
    wait_until(lambda: addresses(get(url)) == expected, what="a new address", timeout_s=20)
    assert len([asked for asked in api.asked if "watch" not in asked]) == 1


def test_a_watch_that_ends_goes_on_from_the_last_change_with_the_accounts_present_token(
    api: WatchedApi, start: Start, account: Path
) -> None:
    path = "/api/v1/namespaces/n/pods"
    api.lists(path, pod())
    url = f"{start(api.url)}?role=pod&namespace=n"
    assert len(addresses(get(url))) == 2
    wait_until(lambda: api.watches(path), what="a watch", timeout_s=20)
    api.lists(path)
    wait_until(lambda: addresses(get(url)) == [], what="the pod is gone", timeout_s=20)
    # A bookmark tells of a version, and of no object.
    api.tells(path, "BOOKMARK", {"metadata": {"resourceVersion": "150"}})
    (account / "token").write_text("second", encoding="utf-8")
    api.cuts()
    wait_until(lambda: len(api.watches(path)) > 1, what="another watch", timeout_s=20)
    assert addresses(get(url)) == []
    assert api.watches(path)[:2] == ["101", "150"]
    assert [api.headers[0]["authorization"], api.headers[-1]["authorization"]] == ["Bearer first", "Bearer second"]


def test_a_server_that_has_forgotten_is_asked_for_the_whole_list_again(api: WatchedApi, start: Start) -> None:
    path = "/api/v1/namespaces/n/pods"
    api.lists(path, pod())
    url = f"{start(api.url)}?role=pod&namespace=n"
    assert len(addresses(get(url))) == 2
    wait_until(lambda: api.watches(path), what="a watch", timeout_s=20)
    api.forgets()
    api.cuts()
    wait_until(lambda: sum("watch" not in each for each in api.asked) == 2, what="another list", timeout_s=20)
    api.lists(path)
    wait_until(lambda: addresses(get(url)) == [], what="the pod is gone", timeout_s=20)


def test_what_was_read_stands_while_the_api_server_is_away(account: Path, start: Start) -> None:
    with WatchedApi() as api:
        api.lists("/api/v1/namespaces/n/pods", pod())
        url = f"{start(api.url)}?role=pod&namespace=n"
        assert len(addresses(get(url))) == 2
        api.answers("/api/v1/namespaces/n/pods", "busy", 500)
        api.forgets()
        api.cuts()
        asked = len(api.asked)
        wait_until(lambda: len(api.asked) > asked + 3, what="it is asked again", timeout_s=20)
        assert len(addresses(get(url))) == 2
    assert len(addresses(get(url))) == 2


def test_a_server_that_ends_every_watch_at_once_is_asked_with_rests(api: WatchedApi, start: Start) -> None:
    api.lists("/api/v1/namespaces/n/pods", pod())
    url = f"{start(api.url, retry_s=0.5)}?role=pod&namespace=n"
    assert len(addresses(get(url))) == 2
    for _ in range(20):
        api.cuts()
        time.sleep(0.01)
    assert len(api.asked) <= 3


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"kind": "Status", "reason": "Forbidden"}, 403),
        ({"kind": "Status", "reason": "Unauthorized"}, 401),
        ("busy", 500),
        ("<html>", 200),
        ({"kind": "Status"}, 200),
        ([1], 200),
        ({"items": [{"metadata": {"name": "p"}, "status": {"podIP": "10.0.0.7"}}]}, 200),
    ],
)
def test_a_refusal_leaves_prometheus_without_an_answer_not_with_none(
    api: WatchedApi, start: Start, capsys: pytest.CaptureFixture[str], body: Any, status: int
) -> None:
    api.answers("/api/v1/namespaces/n/pods", body, status)
    url = f"{start(api.url)}?role=pod&namespace=n"
    assert get(url).status_code == 503
    assert "discovery: " in capsys.readouterr().err
    api.lists("/api/v1/namespaces/n/pods", pod())
    wait_until(lambda: get(url).status_code == 200, what="it is asked again", timeout_s=20)
    assert len(addresses(get(url))) == 2


def test_of_several_namespaces_one_that_may_not_be_read_is_passed_over(
    api: WatchedApi, start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    api.lists("/api/v1/namespaces/n/pods", pod())
    api.answers("/api/v1/namespaces/m/pods", {"reason": "Forbidden"}, 403)
    assert len(addresses(get(f"{start(api.url)}?role=pod&namespace=m&namespace=n"))) == 2
    assert "/namespaces/m/pods" in capsys.readouterr().err


def test_a_right_that_is_missing_for_one_kind_is_a_refusal_of_all(
    api: WatchedApi, start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    api.lists("/api/v1/namespaces/n/pods", pod())
    api.answers("/api/v1/namespaces/n/endpoints", {"reason": "Forbidden"}, 403)
    assert get(f"{start(api.url)}?role=endpoints&namespace=n").status_code == 503
    assert "403" in capsys.readouterr().err


def test_without_an_api_server_or_an_account_there_is_no_answer(
    start: Start, account: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = start("http://127.0.0.1:9")
    assert get(f"{url}?role=pod").status_code == 503
    (account / "token").unlink()

    def reason() -> str:
        assert get(f"{url}?role=pod").status_code == 503
        return capsys.readouterr().err

    wait_until(lambda: "token" in reason(), what="the token is missed", timeout_s=20)


def test_other_paths_are_nothing(start: Start) -> None:
    assert get(start("http://127.0.0.1:9").replace("/targets", "/metrics")).status_code == 404
