"""Waiting until every pod of the local node is ready; its supervisor is a server of the test."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xmlrpc.server import SimpleXMLRPCRequestHandler, SimpleXMLRPCServer

import pytest

from harness.environments.local.addresses import lease_block
from harness.environments.local.node import LocalNode
from harness.environments.local.plan import NodePlan, PlannedPod
from harness.environments.local.startup import Startup
from harness.environments.local.state import NodeState
from harness.environments.local.supervisor import PORT
from harness.errors import HarnessError, StackNotReady
from harness.model import PodAddress
from tests.environments.test_local_plan import container, workload


class Quiet(SimpleXMLRPCRequestHandler):
    """Where supervisord answers, without a word of its own."""

    rpc_paths = ("/RPC2",)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


class Supervisor:
    """Says of each program what ``states`` holds."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.states: dict[str, str] = {}
        self._server = SimpleXMLRPCServer((address, PORT), requestHandler=Quiet)
        self._server.register_function(self._answer, "supervisor.getAllProcessInfo")
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def _answer(self) -> list[dict[str, Any]]:
        same = {"pid": 7, "exitstatus": 0, "stop": 0, "description": "", "spawnerr": ""}
        return [{"name": name, "statename": state, **same} for name, state in self.states.items()]

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    block = lease_block(1)
    with block.lease:
        found = Supervisor(block.node)
        yield found
        found.stop()


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    """What stands for the node's first process."""
    with subprocess.Popen(["sleep", "60"]) as running:
        yield running
        running.kill()


def pod(namespace: str, name: str) -> PlannedPod:
    plain = workload(name, namespace=namespace, containers=(container(),))
    return PlannedPod(PodAddress(namespace, f"{name}-0", name, "127.0.0.1", {}, {}, "main"), plain)


def starting(run_dir: Path, supervisor: Supervisor, process: subprocess.Popen[bytes], *pods: PlannedPod) -> Startup:
    state = NodeState(
        run_dir=str(run_dir),
        stack="",
        stack_sha256="",
        time_scale=1,
        seed=1,
        pid=process.pid,
        pid_started=0.0,
        address=supervisor.address,
        password="x",
        prometheus="",
        prometheus_pod="",
        alertmanagers=(),
        receivers=(),
        services={},
        pods=(),
        gpu="",
        not_exercised=(),
        versions={},
    )
    (run_dir / "node" / "logs").mkdir(parents=True)
    return Startup(NodePlan(pods, (), (), ()), LocalNode(state), process)


def wait(startup: Startup, timeout_s: float = 10.0) -> list[str]:
    said: list[str] = []
    startup.wait_ready(timeout_s=timeout_s, progress=said.append, watch=lambda: None)
    return said


def test_it_ends_once_every_pod_was_seen_ready(
    tmp_path: Path, supervisor: Supervisor, process: subprocess.Popen[bytes]
) -> None:
    supervisor.states = {"team_web-0.main": "RUNNING", "team_db-0.main": "RUNNING"}
    said = wait(starting(tmp_path, supervisor, process, pod("team", "web"), pod("team", "db")))
    assert said == ["web-0 is ready", "db-0 is ready"]


def test_a_pod_is_not_ready_because_one_of_its_name_is(
    tmp_path: Path, supervisor: Supervisor, process: subprocess.Popen[bytes]
) -> None:
    supervisor.states = {"a_web-0.main": "RUNNING", "b_web-0.main": "BACKOFF"}
    startup = starting(tmp_path, supervisor, process, pod("a", "web"), pod("b", "web"))
    startup.node.paths.log("a_web-0.main").write_text("mine is well\n", encoding="utf-8")
    startup.node.paths.log("b_web-0.main").write_text("no such file\n", encoding="utf-8")
    with pytest.raises(StackNotReady) as caught:
        wait(startup, timeout_s=0.2)
    assert caught.value.pods == {"b/web-0": "container main: backoff\n    no such file"}
    supervisor.states["b_web-0.main"] = "RUNNING"
    assert wait(startup) == ["a/web-0 is ready", "b/web-0 is ready"]


def test_a_node_that_ended_is_told_with_what_it_said(
    tmp_path: Path, supervisor: Supervisor, process: subprocess.Popen[bytes]
) -> None:
    startup = starting(tmp_path, supervisor, process, pod("team", "web"))
    (tmp_path / "node" / "node.log").write_text("bwrap: no such program", encoding="utf-8")
    process.kill()
    process.wait()
    with pytest.raises(HarnessError, match=r"the node ended with status -9: bwrap: no such program"):
        wait(startup)
