"""What Docker runs for one node: found, signalled and removed by the node's own label. Any process may do so."""

from __future__ import annotations

import signal
from dataclasses import dataclass

from harness.clock import RunClock, wait_until
from harness.environments.local.docker_daemon import ask, run

# Each container and volume of a node carries this label with the node's own key as its value; nothing else is touched.
LABEL = "harness.local-node"
_REMOVE_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class DockerNode:
    """A node's containers and volumes. ``key``: tells them from all others of this machine."""

    host: str
    key: str

    def container(self, program: str) -> str:
        """The name of the container that a supervised program stands for."""
        return f"harness-{self.key}-{program}"

    @property
    def holder(self) -> str:
        """The name of the container that keeps the volumes while others are restarted."""
        return f"harness-{self.key}-volumes"

    def volume(self, pod: str, volume: str) -> str:
        """What Docker calls a pod's volume."""
        return f"harness-{self.key}-{pod}.{volume}"

    def first_process(self, container: str) -> int | None:
        """The number of a container's first process on this machine; None while it does not run."""
        answer = run("inspect", "--type", "container", "--format", "{{.State.Pid}}", container, host=self.host)
        # Docker says 0 of what does not run; as the number of a process to be signalled, that is one's own group.
        return int(answer.stdout) or None if answer.returncode == 0 else None

    def signal(self, container: str, number: signal.Signals) -> bool:
        """Whether the signal was sent to the container's first process."""
        return run("kill", "--signal", number.name, container, host=self.host).returncode == 0

    def remove(self, *, timeout_s: float = _REMOVE_TIMEOUT_S, quiet_s: float = 0.0) -> None:
        """Nothing of the node is left in Docker, and nothing came up for ``quiet_s`` seconds.

        Another process may be at the same: whether it worked is seen by looking again. Raises HarnessError when Docker
        does not answer, DeadlineExceeded when something is left after the timeout.
        """
        left: list[str] = []
        clock, seen_s = RunClock.start(), 0.0

        def gone() -> bool:
            nonlocal seen_s
            containers, volumes = self._list("ps", "--all"), self._list("volume", "ls")
            left[:] = [*containers, *volumes]
            if containers:
                run("rm", "--force", "--volumes", *containers, host=self.host)
            if volumes:
                run("volume", "rm", "--force", *volumes, host=self.host)
            seen_s = clock.now_s() if left else seen_s
            return not left and clock.now_s() - seen_s >= quiet_s

        what = f"the containers of node {self.key} are removed"
        wait_until(gone, what=what, timeout_s=timeout_s, poll_s=0.1, last=lambda: ", ".join(left))

    def _list(self, *command: str) -> list[str]:
        return ask(*command, "--quiet", "--filter", f"label={LABEL}={self.key}", host=self.host).split()
