"""Removes a node's containers once the node is no more, whatever ended it: Docker's daemon would keep them for ever.

Runs as a program of its own, ``python -m harness.environments.local.docker_watch HOST KEY``, in a session of its own.
Its standard input is a pipe whose other end only the node holds, and before that the harness that is making it. A
kernel that ends them closes the pipe; nothing has to be in working order for that but this process.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from harness.clock import DeadlineExceeded, wait_until
from harness.environments.local.docker_node import DockerNode
from harness.environments.local.lifeline import Lifeline, new_lifeline
from harness.errors import HarnessError

_TIMEOUT_S = 300.0
_RETRY_S = 2.0
# A request to make a container may be under way when the one who asked is killed.
_STRAGGLER_S = 1.0
_ALL_MADE = b"all made"


@dataclass(frozen=True, slots=True)
class Watch:
    """A watch that is kept while any process holds the lifeline."""

    process: subprocess.Popen[bytes]
    lifeline: Lifeline

    def all_made(self) -> None:
        """Nothing more will be made: the watch need not wait for what may still be under way.

        Raises HarnessError when it has ended: nothing would remove the containers of a harness that is killed.
        """
        try:
            self.lifeline.held.write(_ALL_MADE)
        except BrokenPipeError as error:
            raise HarnessError(
                "the watch over the node's containers has ended; node/docker-watch.log says why"
            ) from error

    def end(self) -> None:
        """There is nothing left to watch."""
        self.lifeline.release()
        self.process.kill()
        self.process.wait()


def start_watch(node: DockerNode, log: Path) -> Watch:
    """A watch that this process keeps until it releases the lifeline or ends."""
    lifeline = new_lifeline()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", __name__, node.host, node.key],
            stdin=lifeline.watched,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd="/",  # not where some other package named harness may lie
        )
    lifeline.watched.close()
    return Watch(process, lifeline)


def _main(host: str, key: str) -> None:
    quiet_s = 0.0 if sys.stdin.buffer.read() == _ALL_MADE else _STRAGGLER_S
    node = DockerNode(host, key)

    def removed() -> bool:
        with contextlib.suppress(HarnessError, DeadlineExceeded):  # a daemon that is being restarted answers later
            node.remove(quiet_s=quiet_s)
            return True
        return False

    wait_until(removed, what="the node's containers are removed", timeout_s=_TIMEOUT_S, poll_s=_RETRY_S)


if __name__ == "__main__":
    _main(*sys.argv[1:])
