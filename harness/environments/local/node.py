"""A running local node, seen from outside: its pods' processes and volumes. Any process may attach to one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from signal import SIGKILL, Signals
from typing import Any

import psutil

from harness.clock import wait_until
from harness.environments.local import volume_files
from harness.environments.local.containers import NodePaths
from harness.environments.local.docker_node import DockerNode
from harness.environments.local.state import NodeState, RunningPod
from harness.environments.local.supervisor import UNREACHABLE, ProgramState, SupervisorClient
from harness.environments.processes import (
    descendants,
    end_sandbox,
    find_process,
    inner_pid,
    process_started,
    reference,
)
from harness.errors import HarnessError
from harness.model import ProcessRef


class LocalNode:
    """Operations on a running node. All of them work from any process of the same user."""

    def __init__(self, state: NodeState) -> None:
        self.state = state
        self.paths = NodePaths(Path(state.run_dir) / "node")
        self._supervisor = SupervisorClient(address=state.address, password=state.password)
        self._docker = DockerNode(state.docker_host, state.docker_key) if state.docker_key else None

    def alive(self) -> bool:
        """Whether the node's first process is still the one that was started."""
        return process_started(self.state.pid) == self.state.pid_started

    def stop(self, *, timeout_s: float = 10.0) -> None:
        """Ends the node and with it every process and mount in it. Ending it again does nothing.

        Raises DeadlineExceeded when it is still there after the timeout.
        """
        if self.alive():
            end_sandbox(self.state.pid)
        wait_until(lambda: not self.alive(), what="the node's processes end", timeout_s=timeout_s)
        if self._docker is not None:
            self._docker.remove()

    def programs(self) -> tuple[ProgramState, ...]:
        """What supervisord says of every container. Raises HarnessError when it does not answer."""
        try:
            return self._supervisor.states()
        except UNREACHABLE as error:
            raise HarnessError(f"the node's supervisor at {self.state.address} does not answer: {error}") from error

    def container_states(self) -> list[dict[str, Any]]:
        """Every container: pod, namespace, workload, container, running, pid, exit_code, completes."""
        states = {state.name: state for state in self.programs()}
        found = []
        for pod in self.state.pods:
            for container, program in pod.programs.items():
                state = states[program]
                found.append(
                    {
                        "pod": pod.name,
                        "namespace": pod.namespace,
                        "workload": pod.workload,
                        "container": container,
                        "running": state.state in ("RUNNING", "STARTING"),
                        "pid": state.pid,
                        "exit_code": state.exit_code,
                        "completes": pod.completes,
                    }
                )
        return found

    def pods(self, workload: str, namespace: str | None = None) -> tuple[RunningPod, ...]:
        """The pods of a workload, or the one pod of this name; empty when there is none."""
        return tuple(
            pod
            for pod in self.state.pods
            if workload in (pod.workload, pod.name) and namespace in (None, pod.namespace)
        )

    def removable(self, workload: str, namespace: str | None = None) -> tuple[RunningPod, ...]:
        """The pods that can be kept down: each one, here."""
        return self.pods(workload, namespace)

    def processes(self, pod: str, namespace: str) -> list[ProcessRef]:
        """A pod's processes, its first container's own first process before all others; empty while it does not run."""
        found = self._pod(pod, namespace)
        if found.images:
            return [ref for program in found.programs.values() for ref in self._contained(program)]
        inner = {state.name: state.pid for state in self.programs()}
        wrappers = [self._by_inner_pid(inner.get(program)) for program in found.programs.values()]
        # Bubblewrap stays as the parent of what it runs; it is no part of the container.
        return [ref for wrapper in wrappers if wrapper is not None for ref in descendants(wrapper.pid)]

    def signal(self, process: ProcessRef, number: Signals) -> bool:
        """Whether the signal was sent; it is not when the process is gone or its number belongs to another by now."""
        if process_started(process.pid) != process.started:
            return False
        with contextlib.suppress(ProcessLookupError):
            try:
                os.kill(process.pid, number)
            except PermissionError:  # an image's own user is not this one's; the daemon may do it
                return self._signal_through_docker(process, number)
            return True
        return False

    def process_state(self, process: ProcessRef) -> str | None:
        """The kernel's letter for what a process does (``T``: stopped); None when it is gone."""
        with contextlib.suppress(OSError, IndexError):
            stat = Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8", errors="replace")
            if process_started(process.pid) == process.started:
                return stat.rpartition(")")[2].split()[0]
        return None

    def keep_down(self, pod: str, namespace: str) -> None:
        """The pod ends and is not started again. Raises HarnessError when the supervisor does not answer."""
        self._supervise(pod, namespace, self._supervisor.stop)
        found = self._pod(pod, namespace)
        if self._docker is not None and found.images:
            # The supervisor ended what stands for the container; the container itself is Docker's.
            for program in found.programs.values():
                self._docker.signal(self._docker.container(program), SIGKILL)

    def let_up(self, pod: str, namespace: str) -> None:
        """The pod is started, if it is down. Raises HarnessError when the supervisor does not answer."""
        self._supervise(pod, namespace, self._supervisor.start)

    def _supervise(self, pod: str, namespace: str, order: Callable[[str], None]) -> None:
        for program in self._pod(pod, namespace).programs.values():
            try:
                order(program)
            except UNREACHABLE as error:
                raise HarnessError(f"pod {pod}: the node's supervisor refused: {error}") from error

    def volume_usage(self, pod: str, namespace: str, volume: str) -> tuple[int, int]:
        """(size, available) of a pod's volume in bytes. Raises HarnessError when it is not there."""
        path = self._volume(pod, namespace, volume)
        try:
            usage = os.statvfs(path)
        except OSError as error:
            raise HarnessError(f"volume {volume} of pod {pod}: {error}") from error
        return usage.f_blocks * usage.f_frsize, usage.f_bavail * usage.f_frsize

    def read_file(self, pod: str, namespace: str, volume: str, name: str) -> bytes:
        """The content of a file in a pod's volume of any kind. Raises HarnessError when it cannot be read."""
        try:
            return self._file(pod, namespace, volume, name).read_bytes()
        except OSError as error:
            raise HarnessError(f"{name} on volume {volume} of pod {pod}: {error.strerror}") from error

    def write_file(self, pod: str, namespace: str, volume: str, name: str, content: bytes) -> None:
        """The file holds this content from here on; readers see the old one or the new one, whole."""
        volume_files.replace(self._file(pod, namespace, volume, name), content)

    def allocate_file(self, pod: str, namespace: str, volume: str, name: str, size_bytes: int) -> None:
        """The file takes this much of the volume, or all there is where that is less."""
        volume_files.allocate(self._file(pod, namespace, volume, name), size_bytes)

    def remove_file(self, pod: str, namespace: str, volume: str, name: str) -> None:
        """There is no such file."""
        self._file(pod, namespace, volume, name).unlink(missing_ok=True)

    def has_file(self, pod: str, namespace: str, volume: str, name: str) -> bool:
        """Whether there is such a file."""
        return self._file(pod, namespace, volume, name).exists()

    def kept_volume(self, pod: str, namespace: str, volume: str) -> None:
        """None: a pod is there as long as the node, and its volumes no longer."""

    def pods_with(self, kept: Mapping[str, Any]) -> tuple[tuple[RunningPod, str], ...]:
        """None: there is no volume that is kept."""
        return ()

    def config_source(self, pod: str, namespace: str, volume: str, name: str) -> Mapping[str, str]:
        """The pod's own copy of a ConfigMap's file. Raises HarnessError where a container would not see it change."""
        if volume in self._pod(pod, namespace).sub_paths:
            raise HarnessError(
                f"a container of pod {pod} mounts volume {volume} by subPath: such a mount is never brought up to date,"
                " so that the container would keep the old file; mount the whole volume at a directory of its own"
            )
        return {"pod": pod, "namespace": namespace, "volume": volume, "name": name}

    def write_config(self, source: Mapping[str, Any], text: str) -> None:
        """The copy holds this text at once."""
        self.write_file(source["pod"], source["namespace"], source["volume"], source["name"], text.encode())

    look_every_s = 0.02
    reach_s = 0.0

    @property
    def run_dir(self) -> Path:
        """The run's own directory."""
        return Path(self.state.run_dir)

    @property
    def simulated_gpus(self) -> Path | None:
        """The simulated devices' state file; None where the devices are real."""
        return self.paths.gpu if self.state.gpu == "simulated" else None

    def _pod(self, name: str, namespace: str) -> RunningPod:
        found = next((pod for pod in self.state.pods if (pod.name, pod.namespace) == (name, namespace)), None)
        if found is None:
            raise HarnessError(f"no pod {name!r} in namespace {namespace!r}")
        return found

    def _volume(self, pod: str, namespace: str, volume: str) -> Path:
        found = self._pod(pod, namespace)
        if volume not in found.volumes:
            raise HarnessError(f"pod {pod} has no volume {volume!r}; it has: {', '.join(found.volumes) or 'none'}")
        if self._docker is not None and found.images:
            holder = self._docker.first_process(self._docker.holder)
            if holder is None:
                raise HarnessError(f"pod {pod}: the container that keeps its volumes is not running")
            return Path(f"/proc/{holder}/root{found.volumes[volume]}")
        return self.reach(found.volumes[volume])

    def _file(self, pod: str, namespace: str, volume: str, name: str) -> Path:
        """A file of a volume as a path that this process can open."""
        content = self.paths.files(f"{namespace}_{pod}", volume)
        if volume in self._pod(pod, namespace).volumes and content.is_dir():
            return content / name  # each pod has its own copy of a ConfigMap or Secret, in the run's directory
        return self._volume(pod, namespace, volume) / name

    def reach(self, inner_path: str) -> Path:
        """A path inside the node as one that this process can open."""
        first = self._first_process()
        if first is None:
            raise HarnessError("the node is not running")
        return Path(f"/proc/{first.pid}/root{inner_path}")

    def _first_process(self) -> psutil.Process | None:
        """Process 1 of the node, the only child of the bubblewrap that was started."""
        outer = find_process(self.state.pid)
        with contextlib.suppress(psutil.NoSuchProcess):
            children = outer.children() if outer else []
            return children[0] if children else None
        return None

    def _contained(self, program: str) -> list[ProcessRef]:
        """The processes of a container of Docker's, the first one first."""
        assert self._docker is not None
        first = self._docker.first_process(self._docker.container(program))
        main = None if first is None else reference(first)
        return [] if main is None else [main, *descendants(main.pid)]

    def _signal_through_docker(self, process: ProcessRef, number: Signals) -> bool:
        """Whether the signal was sent to a container of which this is the first process."""
        if self._docker is not None:
            for pod in self.state.pods:
                for name in map(self._docker.container, pod.programs.values() if pod.images else ()):
                    if self._docker.first_process(name) == process.pid:
                        return self._docker.signal(name, number)
        raise HarnessError(f"process {process.pid}: this user may not send it {number.name}")

    def _by_inner_pid(self, number: int | None) -> psutil.Process | None:
        first = self._first_process()
        if first is None or number is None:
            return None
        for process in first.children(recursive=True):
            if inner_pid(process.pid) == number:
                return process
        return None
