"""A way to read the cluster and what runs in it by plain HTTP on this machine's loopback.

``kubectl proxy`` signs each request with the harness's own credentials. It lets GET through, and only for the harness's
namespaces: pods, Services, events, and nodes; no secret can be read and nothing changed through it.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import requests

from harness.environments.kube.kubectl import Kubectl
from harness.environments.processes import process_started
from harness.errors import HarnessError

_START_S = 15.0
_END_S = 5.0


@dataclass(slots=True)
class ApiProxy:
    """A running proxy. ``url`` has no slash at its end. ``process`` is None for one that another process started."""

    url: str
    pid: int
    pid_started: float
    process: subprocess.Popen[bytes] | None = None

    def alive(self) -> bool:
        """Whether it still is the process that was started."""
        return process_started(self.pid) == self.pid_started

    def stop(self) -> None:
        """Ends it; nothing happens when it has ended."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(timeout=_END_S)
        elif self.alive():
            os.kill(self.pid, signal.SIGTERM)


def ask(url: str, *, timeout_s: float, params: Mapping[str, str] | None = None) -> requests.Response:
    """The answer to GET at this machine's loopback, without a detour over whatever proxy the machine's user has set.

    Raises requests.RequestException.
    """
    with requests.Session() as session:
        session.trust_env = False
        return session.get(url, params=params, timeout=timeout_s)


def start_proxy(
    kubectl: Kubectl, namespaces: Sequence[str], *, log: Path, dies_with_harness: bool, start_s: float = _START_S
) -> ApiProxy:
    """A proxy for these namespaces on a free port of 127.0.0.1. Raises HarnessError when it does not start within
    ``start_s``.
    """
    names = "|".join(map(re.escape, namespaces))
    accepted = f"^/(version|readyz|api/v1/nodes(/[^/]+)?|api/v1/namespaces/({names})/(pods|services|events)(/.*)?)$"
    argv = kubectl.argv(
        "proxy",
        "--port=0",
        "--address=127.0.0.1",
        f"--accept-paths={accepted}",
        "--reject-methods=^(POST|PUT|PATCH|DELETE)$",
    )
    setpriv = shutil.which("setpriv")
    if dies_with_harness and setpriv is not None:
        argv = [setpriv, "--pdeathsig", "KILL", "--", *argv]
    with log.open("ab") as errors:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, start_new_session=True
        )
    line = _first_line(process, start_s)
    found = re.search(r"127\.0\.0\.1:(\d+)", line)
    started = process_started(process.pid)
    if found is None or started is None:
        process.kill()
        process.wait(timeout=_END_S)
        raise HarnessError(f"kubectl proxy did not start: {line.strip() or log.read_text(errors='replace')[-500:]}")
    return ApiProxy(f"http://127.0.0.1:{found.group(1)}", process.pid, started, process)


def _first_line(process: subprocess.Popen[bytes], start_s: float) -> str:
    """The line in which kubectl says where it listens; empty when it ended or said nothing in time."""
    assert process.stdout is not None
    ended = threading.Timer(start_s, process.kill)
    ended.start()
    try:
        return process.stdout.readline().decode(errors="replace")
    finally:
        ended.cancel()
        process.stdout.close()
