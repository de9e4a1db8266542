"""Waits until every pod of a node is ready, and says what keeps those that are not."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from harness.clock import DeadlineExceeded, wait_until
from harness.environments.local.containers import NodePaths
from harness.environments.local.node import LocalNode
from harness.environments.local.plan import NodePlan, PlannedPod
from harness.environments.local.readiness import why_unready
from harness.errors import HarnessError, StackNotReady

_LAST_LINES = 5


@dataclass(frozen=True, slots=True)
class Startup:
    """A node that was started, of which not everything is up yet."""

    plan: NodePlan
    node: LocalNode
    process: subprocess.Popen[bytes]

    def wait_ready(self, *, timeout_s: float, progress: Callable[[str], None], watch: Callable[[], None]) -> None:
        """Every pod is ready. ``watch`` is called while waiting and may raise.

        Raises StackNotReady naming what is not ready and its last lines, HarnessError when the node itself ended.
        """
        waiting = dict.fromkeys(map(_key, self.plan.pods), "not started")

        def all_ready() -> bool:
            watch()
            if self.process.poll() is not None:
                log = (self._paths.root / "node.log").read_text(encoding="utf-8", errors="replace")
                raise HarnessError(_why_ended(self.process.returncode, log))
            try:
                states = self.node.programs()
            except HarnessError:
                return False  # the supervisor is still starting
            for pod in self.plan.pods:
                if _key(pod) in waiting:
                    watch()  # a probe may take as long as its manifest says
                    why = why_unready(pod, states)
                    if why is None:
                        del waiting[_key(pod)]
                        progress(f"{self._name(pod)} is ready")
                    else:
                        waiting[_key(pod)] = why
            return not waiting

        try:
            wait_until(all_ready, what="every pod is ready", timeout_s=timeout_s, poll_s=0.05)
        except DeadlineExceeded as error:
            late = [pod for pod in self.plan.pods if _key(pod) in waiting]
            pods = {self._name(pod): f"{waiting[_key(pod)]}{self._tail(pod)}" for pod in late}
            raise StackNotReady(waited_s=timeout_s, pods=pods) from error

    @property
    def _paths(self) -> NodePaths:
        return self.node.paths

    def _name(self, pod: PlannedPod) -> str:
        """How a pod is called to people: with its namespace where another pod has its name."""
        alike = [other for other in self.plan.pods if other.address.name == pod.address.name]
        return pod.address.name if len(alike) == 1 else f"{pod.address.namespace}/{pod.address.name}"

    def _tail(self, pod: PlannedPod) -> str:
        found = []
        for container in pod.workload.containers:
            with suppress(OSError):
                log = self._paths.log(pod.program(container)).read_text(encoding="utf-8", errors="replace")
                found += log.splitlines()[-_LAST_LINES:]
        return "".join(f"\n    {line[:300]}" for line in found)


def _key(pod: PlannedPod) -> tuple[str, str]:
    return pod.address.namespace, pod.address.name


def _why_ended(status: int, log: str) -> str:
    """Why the sandbox could not live, with what to do where the cause is known."""
    said = f"the node ended with status {status}: {log.strip()[-1500:]}"
    if "namespace" in log or "Can't mount proc" in log:
        said += (
            "\nThe local environment needs user namespaces. Ubuntu: sysctl"
            " kernel.apparmor_restrict_unprivileged_userns=0; in a container: run it privileged; elsewhere: sysctl"
            " kernel.unprivileged_userns_clone=1"
        )
    return said
