"""Which pods of the local node are ready, as a kubelet would say; the pods are servers of the test."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from harness.environments.local.plan import PlannedPod
from harness.environments.local.readiness import why_unready
from harness.environments.local.supervisor import ProgramState
from harness.model import PodAddress
from harness.stack import Container, HttpProbe
from tests.environments.test_local_plan import container, workload

HOST = "127.0.0.1"


class Answering(BaseHTTPRequestHandler):
    """``/ready`` is; ``/late`` is after 0.6 s; ``/named`` is for the host ``app``; nothing else is."""

    def do_GET(self) -> None:
        if self.path == "/late":
            threading.Event().wait(0.6)
        ready = self.path in ("/ready", "/late") or (self.path == "/named" and self.headers["Host"] == "app")
        self.send_response(200 if ready else 503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@contextmanager
def serving(wrap: Callable[[socket.socket], socket.socket] = lambda plain: plain) -> Iterator[int]:
    """The port of a server that ``wrap`` may have put TLS around."""
    server = ThreadingHTTPServer((HOST, 0), Answering)
    server.socket = wrap(server.socket)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield int(server.server_port)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def port() -> Iterator[int]:
    with serving() as number:
        yield number


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that refuses: it is bound, and nobody listens."""
    with socket.socket() as bound:
        bound.bind((HOST, 0))
        yield int(bound.getsockname()[1])


def probe(path: str | None, port: int, **changes: object) -> HttpProbe:
    return HttpProbe(path, port, **{"period_s": 10, "timeout_s": 1, "failure_threshold": 3, **changes})  # type: ignore[arg-type]


def problem(*containers: Container, state: str = "RUNNING", exit_code: int | None = None) -> str | None:
    run = workload("web", containers=containers)
    pod = PlannedPod(PodAddress("team", "web-0", "web", HOST, {}, {}, containers[0].name), run)
    return why_unready(pod, [ProgramState(pod.program(one), state, 1, exit_code, "") for one in containers])


def test_an_endpoint_is_asked_and_its_status_counts(port: int) -> None:
    assert problem(container(readiness=probe("/ready", port))) is None
    assert problem(container(readiness=probe("ready", port))) is None
    assert problem(container(readiness=probe("/", port))) == f"container main: GET http://{HOST}:{port}/: 503"


def test_an_endpoint_has_the_time_that_its_probe_gives_it(port: int) -> None:
    assert problem(container(readiness=probe("/late", port, timeout_s=5))) is None
    late = problem(container(readiness=probe("/late", port, timeout_s=0.1)))
    assert late is not None
    assert late.endswith("/late: ReadTimeout")


def test_an_endpoint_is_asked_with_the_headers_of_its_probe(port: int) -> None:
    assert problem(container(readiness=probe("/named", port, headers={"Host": "app"}))) is None
    assert problem(container(readiness=probe("/named", port))) is not None


@pytest.mark.filterwarnings("error")
def test_https_is_asked_and_no_certificate_verified(tmp_path: Path) -> None:
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x", "-keyout", "k", "-out", "c"]
    subprocess.run(made, cwd=tmp_path, check=True, capture_output=True, timeout=30)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "c", tmp_path / "k")
    with serving(lambda plain: context.wrap_socket(plain, server_side=True)) as port:
        assert problem(container(readiness=probe("/ready", port, scheme="HTTPS"))) is None
        assert problem(container(readiness=probe("/", port, scheme="HTTPS"))) is not None


def test_a_tcp_probe_needs_somebody_who_listens(port: int, closed_port: int) -> None:
    assert problem(container(readiness=probe(None, port))) is None
    assert problem(container(readiness=probe(None, closed_port))) is not None


def test_without_a_probe_the_first_tcp_port_has_to_take_connections(port: int, closed_port: int) -> None:
    assert problem(container(ports={"http": port, "later": closed_port})) is None
    assert problem(container(ports={"http": closed_port})) is not None


def test_a_port_that_is_not_tcp_is_not_connected_to(port: int, closed_port: int) -> None:
    mixed = {"dns": closed_port, "http": port}
    assert problem(container(ports=mixed, not_tcp=frozenset({"dns"}))) is None
    assert problem(container(ports={"dns": closed_port}, not_tcp=frozenset({"dns"}))) is None


def test_every_container_of_a_pod_has_to_be_ready(port: int, closed_port: int) -> None:
    first, second = container(name="a", ports={"a": port}), container(name="b", ports={"b": closed_port})
    found = problem(first, second)
    assert found is not None
    assert found.startswith("container b: port")


def test_a_container_that_does_not_run_is_not_ready() -> None:
    assert problem(container(), state="BACKOFF") == "container main: backoff"
    assert problem(container(), state="EXITED", exit_code=0) == "container main: exited"
