"""What the node's supervisor tells of its programs."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import Any
from xmlrpc.server import SimpleXMLRPCServer

import pytest

from harness.environments.local.supervisor import PORT, SupervisorClient

# The port is the supervisor's own; an address of this process's keeps two test runs apart.
ADDRESS = f"127.99.{os.getpid() // 250 % 250}.{os.getpid() % 250 + 1}"
ENDED = 1_700_000_000


class FakeSupervisor(SimpleXMLRPCServer):
    """Answers with the programs it was given, as supervisord has them."""

    def __init__(self) -> None:
        super().__init__((ADDRESS, PORT), logRequests=False)
        self.programs: list[dict[str, Any]] = []
        self.register_function(lambda: self.programs, "supervisor.getAllProcessInfo")


@pytest.fixture
def supervisor() -> Iterator[FakeSupervisor]:
    with FakeSupervisor() as server:
        thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.02))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("state", "stop", "status", "exit_code"),
    [
        ("EXITED", ENDED, 0, 0),
        ("EXITED", ENDED, 3, 3),
        ("RUNNING", 0, 0, None),
        # It keeps no status of what ended within a second of its start, and says 0.
        ("BACKOFF", ENDED, 0, None),
    ],
)
def test_a_program_that_failed_at_once_is_not_taken_for_one_that_was_done(
    supervisor: FakeSupervisor, state: str, stop: int, status: int, exit_code: int | None
) -> None:
    program = {"name": "p", "statename": state, "pid": 0, "description": "", "spawnerr": ""}
    supervisor.programs = [{**program, "stop": stop, "exitstatus": status}]
    (found,) = SupervisorClient(address=ADDRESS, password="x").states()
    assert (found.state, found.exit_code) == (state, exit_code)
