"""The discovery beside a Prometheus: what it asks the API server, how often, and what becomes of a refusal."""

from __future__ import annotations

import threading
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
from tests.environments.test_kube_pods import FakeApi


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with FakeApi() as api:
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
            server = serve(Discovery(url, account, **settings), 0)
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


def test_endpoints_are_found_with_the_pods_and_services_they_belong_to(api: FakeApi, start: Start) -> None:
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


def test_without_a_namespace_all_of_them_are_looked_at(api: FakeApi, start: Start) -> None:
    api.lists("/api/v1/pods", pod(), pod("q", ip="10.0.0.8", metadata={"namespace": "m"}))
    assert len(addresses(get(f"{start(api.url)}?role=pod"))) == 4


def test_an_empty_cluster_has_no_targets(api: FakeApi, start: Start) -> None:
    api.answers("/api/v1/namespaces/n/pods", {"items": None})
    assert addresses(get(f"{start(api.url)}?role=pod&namespace=n")) == []


def test_all_that_ask_at_once_share_one_look(api: FakeApi, start: Start) -> None:
    api.lists("/api/v1/namespaces/n/pods", pod())
    api.lists("/api/v1/namespaces/n/services")
    api.lists("/api/v1/namespaces/n/endpoints")
    url = start(api.url, fresh_s=60)
    with ThreadPoolExecutor(8) as pool:
        roles = ["pod", "endpoints"] * 8
        answers = list(pool.map(lambda role: get(f"{url}?role={role}&namespace=n"), roles))
    assert [len(addresses(answer)) for answer in answers] == [2, 0] * 8
    assert sorted(api.asked) == [f"/api/v1/namespaces/n/{kind}" for kind in ("endpoints", "pods", "services")]


def test_what_is_no_longer_fresh_is_looked_at_again_with_the_accounts_present_token(
    api: FakeApi, start: Start, account: Path
) -> None:
    api.lists("/api/v1/namespaces/n/pods", pod())
    url = f"{start(api.url, fresh_s=0.1)}?role=pod&namespace=n"
    assert len(addresses(get(url))) == 2
    api.lists("/api/v1/namespaces/n/pods")
    (account / "token").write_text("second", encoding="utf-8")
    wait_until(lambda: addresses(get(url)) == [], what="the pod is gone", timeout_s=20)
    assert [api.headers[0]["authorization"], api.headers[-1]["authorization"]] == ["Bearer first", "Bearer second"]


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
    api: FakeApi, start: Start, capsys: pytest.CaptureFixture[str], body: Any, status: int
) -> None:
    api.answers("/api/v1/namespaces/n/pods", body, status)
    url = f"{start(api.url, fresh_s=0)}?role=pod&namespace=n"
    assert get(url).status_code == 503
    assert "discovery: " in capsys.readouterr().err
    api.lists("/api/v1/namespaces/n/pods", pod())
    assert len(addresses(get(url))) == 2


def test_of_several_namespaces_one_that_may_not_be_read_is_passed_over(
    api: FakeApi, start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    api.lists("/api/v1/namespaces/n/pods", pod())
    api.answers("/api/v1/namespaces/m/pods", {"reason": "Forbidden"}, 403)
    assert len(addresses(get(f"{start(api.url)}?role=pod&namespace=m&namespace=n"))) == 2
    assert "/namespaces/m/pods" in capsys.readouterr().err


def test_a_right_that_is_missing_for_one_kind_is_a_refusal_of_all(
    api: FakeApi, start: Start, capsys: pytest.CaptureFixture[str]
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
    assert get(f"{url}?role=pod").status_code == 503
    assert "token" in capsys.readouterr().err


def test_other_paths_are_nothing(start: Start) -> None:
    assert get(start("http://127.0.0.1:9").replace("/targets", "/metrics")).status_code == 404
