"""The notification receiver: what it keeps and refuses, its numbers, and how it starts and ends."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from harness.clock import wait_until
from harness.system.workloads.inbox import FILE_NAME, MAX_RECEIVER_LABELS
from harness.system.workloads.receiver import Server, main

ALERT = {"status": "firing", "labels": {"alertname": "HighLatency"}, "startsAt": "2026-01-01T00:00:00Z"}


def notification(receiver: str = "pager", *, status: str = "firing", alerts: Any = (ALERT,)) -> dict[str, Any]:
    return {"version": "4", "groupKey": "{}", "receiver": receiver, "status": status, "alerts": alerts}


class Client:
    """What Alertmanager, Prometheus and the harness ask of a receiver."""

    def __init__(self, url: str) -> None:
        self.url = url

    def post(self, body: object, path: str = "/pager") -> int:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.ask(urllib.request.Request(self.url + path, data=content))[0]

    def get(self, path: str) -> tuple[int, bytes]:
        return self.ask(urllib.request.Request(self.url + path))

    def ask(self, request: urllib.request.Request) -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def kept(self, after: int = 0) -> list[dict[str, Any]]:
        return self.page(after)["notifications"]  # type: ignore[no-any-return]

    def page(self, after: int = 0) -> dict[str, Any]:
        page: dict[str, Any] = json.loads(self.get(f"/notifications?after={after}")[1])
        return page

    def metric(self, series: str) -> float | None:
        lines = [line.rsplit(" ", 1) for line in self.get("/metrics")[1].decode().splitlines()]
        return next((float(value) for name, value in lines if name == series), None)


class Running:
    """A receiver in a thread of this process."""

    def __init__(self, directory: Path | None = None) -> None:
        self.server = Server("127.0.0.1", 0, directory)
        self.client = Client(f"http://127.0.0.1:{self.server.server_port}")
        self._thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self) -> Client:
        self._thread.start()
        return self.client

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self._thread.join()
        self.server.server_close()


@pytest.fixture
def client() -> Iterator[Client]:
    with Running() as client:
        yield client


def test_a_notification_is_kept_with_its_time_its_path_and_its_receiver(client: Client) -> None:
    before_s = time.time()
    assert client.post(notification("chat"), path="/chat/team?x=1") == 200
    (kept,) = client.kept()
    assert before_s <= kept.pop("arrived_unix_s") <= time.time()
    body = json.loads(json.dumps(notification("chat")))
    assert kept == {"seq": 1, "path": "/chat/team?x=1", "receiver": "chat", "body": body}


def test_only_those_after_the_number_asked_for_are_given(client: Client) -> None:
    assert client.page() == {"notifications": [], "last": 0}
    for name in ("a", "b", "c"):
        client.post(notification(name))
    assert [(kept["seq"], kept["receiver"]) for kept in client.kept(after=1)] == [(2, "b"), (3, "c")]
    assert client.page(after=3) == {"notifications": [], "last": 3}
    assert client.page(after=99) == {"notifications": [], "last": 3}


@pytest.mark.parametrize("after", ["-1", "x", "1.5", "", "+1", "9" * 5000])
def test_what_is_no_number_to_start_after_is_refused(client: Client, after: str) -> None:
    # An empty one is left out of the query by those who parse it: that is "from the beginning".
    assert client.get(f"/notifications?after={after}")[0] == (200 if after == "" else 400)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not JSON",
        b"\xff",
        b"[" * 100_000,
        b'{"receiver": "pager", "alerts": [], "x": NaN}',
        [],
        {"receiver": "pager"},
        {"alerts": []},
        {"receiver": 5, "alerts": []},
        {"receiver": "pager", "alerts": {}},
        {"receiver": "pager", "alerts": [1]},
        {"receiver": "pager", "alerts": [{"status": "firing"}]},
        {"receiver": "pager", "alerts": [ALERT, {"labels": []}]},
    ],
)
def test_what_is_no_notification_is_refused_counted_and_not_kept(client: Client, body: object) -> None:
    assert client.post(body) == 400
    assert client.page() == {"notifications": [], "last": 0}
    assert client.metric("notifications_rejected_total") == 1
    assert client.post(notification()) == 200, "the receiver goes on"
    assert client.metric("notifications_rejected_total") == 1


@pytest.mark.parametrize("length", ["-1", "x", str(5 * 1024 * 1024), None])
def test_a_body_of_no_length_or_too_much_of_it_is_refused_unread(client: Client, length: str | None) -> None:
    connection = HTTPConnection(client.url.removeprefix("http://"), timeout=5)
    connection.putrequest("POST", "/pager")
    if length is not None:
        connection.putheader("Content-Length", length)
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == 400
    assert answer.getheader("Connection") == "close", "what was not read must not be taken for the next request"
    connection.close()


def test_a_client_that_leaves_in_the_middle_costs_nothing(client: Client) -> None:
    host, port = client.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(b"POST /pager HTTP/1.1\r\nContent-Length: 100\r\n\r\n{")
    wait_until(lambda: client.metric("notifications_rejected_total") == 1, timeout_s=5, what="the rejection")
    assert client.post(notification()) == 200


def test_deliveries_are_counted_by_receiver_and_status(client: Client) -> None:
    for status in ("firing", "firing", "resolved"):
        client.post(notification("chat", status=status))
    assert client.metric('notifications_received_total{receiver="chat",status="firing"}') == 2
    assert client.metric('notifications_received_total{receiver="chat",status="resolved"}') == 1
    assert client.metric("notifications_rejected_total") == 0


def test_receivers_nobody_configured_do_not_make_series_without_end(client: Client) -> None:
    for number in range(MAX_RECEIVER_LABELS + 3):
        client.post(notification(f"r{number}"))
    text = client.get("/metrics")[1].decode()
    assert text.count('notifications_received_total{receiver="r') == MAX_RECEIVER_LABELS
    assert client.metric('notifications_received_total{receiver="other",status="firing"}') == 3
    assert len(client.kept()) == MAX_RECEIVER_LABELS + 3


def test_a_name_that_is_no_text_does_not_break_the_scrape(client: Client) -> None:
    assert client.post(b'{"receiver": "\\ud800", "alerts": []}') == 200
    assert client.get("/metrics")[0] == 200
    assert client.kept()[0]["receiver"] == "\ud800"


def test_it_says_that_it_lives_and_since_when(client: Client) -> None:
    assert client.get("/healthz")[0] == 200
    assert client.get("/nowhere")[0] == 404
    started = client.metric("process_start_time_seconds")
    assert started is not None
    assert started < time.time()


def test_a_file_keeps_every_notification_and_a_restart_goes_on_counting(tmp_path: Path) -> None:
    directory = tmp_path / "new" / "pager"
    with Running(directory) as client:
        client.post(notification("a"))
        client.post(notification("b"))
        before = client.kept()
    assert [json.loads(line) for line in (directory / FILE_NAME).read_text().splitlines()] == before
    with Running(directory) as client:
        client.post(notification("c"))
        assert client.kept()[:2] == before
        assert [kept["seq"] for kept in client.kept()] == [1, 2, 3]


def test_damaged_lines_are_left_out_and_the_rest_is_kept(tmp_path: Path) -> None:
    with Running(tmp_path) as client:
        client.post(notification("a"))
    with (tmp_path / FILE_NAME).open("a") as file:
        file.write('\n[]\n{"seq": "x"}\n{"seq": 1}\n{"seq": 2, "cut o')
    with Running(tmp_path) as client:
        assert [kept["receiver"] for kept in client.kept()] == ["a"]
        client.post(notification("b"))
    with Running(tmp_path) as client:
        assert [(kept["seq"], kept["receiver"]) for kept in client.kept()] == [(1, "a"), (2, "b")]


def next_line(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    line: dict[str, Any] = json.loads(process.stdout.readline())
    return line


@pytest.fixture
def process(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-m", "harness.system.workloads.receiver", "--port", "0", "--directory", str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        process.kill()


def test_a_volume_that_is_full_costs_lines_of_the_file_and_no_notification(
    process: subprocess.Popen[str], tmp_path: Path
) -> None:
    client = Client("http://" + next_line(process)["address"])
    client.post(notification("a"))
    size = (tmp_path / FILE_NAME).stat().st_size
    free = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size + 10, free[1]))
    assert client.post(notification("b")) == 200
    assert client.post(notification("b")) == 200
    assert (tmp_path / FILE_NAME).stat().st_size == size, "no half of a line is left"
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, free)
    assert client.post(notification("c")) == 200
    assert [kept["receiver"] for kept in client.kept()] == ["a", "b", "b", "c"]
    names = [json.loads(line)["receiver"] for line in (tmp_path / FILE_NAME).read_text().splitlines()]
    assert names == ["a", "c"]
    logged = [(line["level"], line["message"]) for line in (next_line(process) for _ in range(6))]
    assert [line for line in logged if line[1] != "notification"] == [
        ("error", "notifications cannot be written"),
        ("info", "notifications are written again"),
    ]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_and_its_lines_are_json(
    process: subprocess.Popen[str], number: signal.Signals
) -> None:
    listening = next_line(process)
    assert (listening["service"], listening["message"]) == ("notification-receiver", "listening")
    assert listening["address"].startswith("127.0.0.1:"), "nothing but the address asked for is bound"
    os.kill(process.pid, number)
    assert process.wait(timeout=10) == 0
    assert next_line(process)["message"] == "ended"


def test_an_address_that_is_taken_is_an_error_event_and_status_1() -> None:
    with Running() as client:
        port = client.url.rsplit(":", 1)[1]
        ended = subprocess.run(
            [sys.executable, "-m", "harness.system.workloads.receiver", "--port", port],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    assert (ended.returncode, ended.stderr) == (1, "")
    logged = json.loads(ended.stdout)
    assert (logged["level"], logged["error_type"], logged["port"]) == ("error", "OSError", int(port))


def test_help_shows_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    assert "example: python -m harness.system.workloads.receiver --host" in capsys.readouterr().out
