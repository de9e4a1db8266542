"""Stands a stack up as processes on this machine, in one sandbox, and takes it down again."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from harness import gpu
from harness.clock import DeadlineExceeded, RunClock, wait_until
from harness.environments.local.addresses import AddressBlock, lease_block
from harness.environments.local.containers import NodePaths, container_argv, volume_path
from harness.environments.local.layout import SIMULATED_GPU_DIR, NodeLayout
from harness.environments.local.node import LocalNode
from harness.environments.local.plan import NodePlan, PlannedPod, host_names, plan_node
from harness.environments.local.ports import require_free_ports
from harness.environments.local.processes import end_sandbox, process_started
from harness.environments.local.programs import PROGRAMS, directory_of, program_version, require_programs
from harness.environments.local.readiness import why_unready
from harness.environments.local.sandbox import interpreter_paths, node_argv
from harness.environments.local.state import NodeState, RunningPod
from harness.environments.local.supervisor import new_password
from harness.environments.receiver import RECEIVER_LABEL, with_receiver
from harness.errors import HarnessError, StackNotReady
from harness.stack import Stack, render_alertmanager, render_prometheus
from harness.stack.objects import Rendered

# What no local environment has, whatever the stack.
_NEVER_EXERCISED = (
    "the Prometheus operator: its objects are rendered to plain configuration",
    "Kubernetes itself: scheduling, RBAC, network policy, liveness probes, limits other than volume sizes",
    "container images: the commands of the manifests run from this machine",
)


class LocalEnvironment:
    """A stack on this machine: ``up``, then work with the node, then ``down``, which may be called at any time."""

    name = "local"

    def __init__(
        self, stack: Stack, run_dir: Path, *, time_scale: float, seed: int, dies_with_harness: bool = True
    ) -> None:
        """Raises HarnessError when a program this environment needs is missing; nothing is touched."""
        self._programs = require_programs(PROGRAMS)
        self._stack = with_receiver(stack)
        self._run_dir = run_dir.resolve()
        self._paths = NodePaths(self._run_dir / "node")
        self._time_scale = time_scale
        self._seed = seed
        self._dies_with_harness = dies_with_harness
        self._block: AddressBlock | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._node: LocalNode | None = None

    def up(
        self,
        *,
        timeout_s: float,
        progress: Callable[[str], None] = lambda text: None,
        watch: Callable[[], None] = lambda: None,
    ) -> LocalNode:
        """The running node, once every pod is ready. ``watch`` is called while waiting and may raise to end it.

        Must be called on the main thread: the sandbox ends with the thread that started it.
        Raises StackNotReady naming what is not ready and the last lines of its output.
        """
        clock = RunClock.start()
        self._block = lease_block(self._seed)
        whole = plan_node(self._stack, self._block)
        why_not = [(pod, _why_not_run(pod)) for pod in whole.pods]
        plan = replace(whole, pods=tuple(pod for pod, why in why_not if why is None))
        require_free_ports(plan, self._block.node)
        gpu_name = self._prepare_gpu()
        password = new_password()
        state = self._describe(plan, gpu_name, password)
        rendered = self._render(plan, state)
        notes = [*(f"{pod.workload.kind}/{pod.workload.name}: {why}" for pod, why in why_not if why), *plan.notes]
        notes += [note for part in rendered.values() for note in part.notes]
        notes += [f"{ignored}: needs a controller that is not here" for ignored in self._stack.ignored]
        if gpu_name == "simulated":
            notes.append("GPU hardware: the devices are simulated")
        state = replace(state, not_exercised=tuple(dict.fromkeys([*_NEVER_EXERCISED, *notes])))
        self._start(plan, rendered, state)
        assert self._process is not None
        state = replace(state, pid=self._process.pid, pid_started=process_started(self._process.pid) or 0.0)
        state.save()
        self._node = LocalNode(state)
        self._wait_ready(plan, timeout_s=timeout_s, progress=progress, watch=watch)
        state = replace(state, ready_s=round(clock.now_s(), 3))
        state.save()
        self._node = LocalNode(state)
        return self._node

    def down(self) -> None:
        """Nothing of the stack runs any more; the run's directory keeps its logs."""
        if self._process is not None:
            end_sandbox(self._process.pid)
            self._process.wait(timeout=10)
            self._process = None
        if self._block is not None:
            self._block.lease.close()

    def _prepare_gpu(self) -> str:
        """The real device's name, or ``simulated`` once its state file is there."""
        with suppress(gpu.GpuUnavailable):
            return gpu.connect().name or "unnamed GPU"
        self._paths.gpu.parent.mkdir(parents=True)
        gpu.create(self._paths.gpu, time_scale=self._time_scale)
        return "simulated"

    def _describe(self, plan: NodePlan, gpu_name: str, password: str) -> NodeState:
        pods = tuple(_describe_pod(pod) for pod in plan.pods)
        operated = {
            role: [
                _describe_pod(pod)
                for pod in plan.pods
                if pod.workload.operated and pod.address.labels.get("app.kubernetes.io/name") == role
            ]
            for role in ("prometheus", "alertmanager")
        }
        services = {
            f"{planned.service.namespace}/{planned.service.name}:{port}": f"{planned.address}:{port}"
            for planned in plan.services
            for port, pairs in planned.ports.items()
            if pairs and not planned.service.headless
        }
        assert self._block is not None
        return NodeState(
            run_dir=str(self._run_dir),
            stack=self._stack.absolute_path,
            stack_sha256=self._stack.sha256,
            time_scale=self._time_scale,
            seed=self._seed,
            pid=0,
            pid_started=0.0,
            address=self._block.node,
            password=password,
            prometheus=_url(operated["prometheus"][0], "web"),
            prometheus_pod=operated["prometheus"][0].name,
            alertmanagers=tuple(_url(pod, "web") for pod in operated["alertmanager"]),
            receivers=tuple(_url(pod) for pod in pods if pod.ports and RECEIVER_LABEL.items() <= pod.labels.items()),
            services=services,
            pods=pods,
            gpu=gpu_name,
            not_exercised=(),
            versions={name: program_version(path) for name, path in self._programs.items()},
        )

    def _render(self, plan: NodePlan, state: NodeState) -> Mapping[str, Rendered]:
        addresses = [pod.address for pod in plan.pods]
        return {
            "prometheus": render_prometheus(self._stack, addresses, time_scale=self._time_scale),
            "alertmanager": render_alertmanager(
                self._stack,
                time_scale=self._time_scale,
                capture_url=f"{state.receivers[0]}/captured",
                host_addresses={name: found[0] for name, found in host_names(plan, "").items() if found},
            ),
        }

    def _start(self, plan: NodePlan, rendered: Mapping[str, Rendered], state: NodeState) -> None:
        commands = (container_argv(container, {}) for pod in plan.pods for container in pod.workload.containers)
        programs = {directory_of(argv[0]) for argv in commands if argv is not None}
        read_only = [*interpreter_paths(), *(path for path in programs if not path.startswith("/usr/"))]
        simulated = state.gpu == "simulated"
        variables = {
            "PATH": os.pathsep.join([os.path.dirname(sys.executable), "/usr/local/bin", "/usr/bin", "/bin"]),
            "HOME": "/tmp",
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "TIME_SCALE": f"{self._time_scale:g}",
            **({"SIMULATED_GPU": f"{SIMULATED_GPU_DIR}/{self._paths.gpu.name}"} if simulated else {}),
        }
        layout = NodeLayout(
            plan=plan,
            paths=self._paths,
            bwrap=self._programs["bwrap"],
            read_only=read_only,
            rendered=rendered,
            variables=variables,
            simulated_gpu=simulated,
            address=state.address,
            password=state.password,
        )
        argv = node_argv(
            bwrap=self._programs["bwrap"],
            read_only=read_only,
            run_dir=self._run_dir,
            volumes=plan.volumes,
            real_devices=not simulated,
            dies_with_parent=self._dies_with_harness,
            command=[sys.executable, "-m", "supervisor.supervisord", "-c", str(layout.write())],
        )
        assert self._block is not None
        with (self._paths.root / "node.log").open("wb") as log:
            # A session of its own keeps the terminal's Ctrl-C from the pods: the harness takes them down in order.
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=[self._block.lease.fileno()],
                env={"PATH": variables["PATH"], "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"},
            )

    def _wait_ready(
        self, plan: NodePlan, *, timeout_s: float, progress: Callable[[str], None], watch: Callable[[], None]
    ) -> None:
        waiting: dict[str, str] = {pod.address.name: "not started" for pod in plan.pods}

        def all_ready() -> bool:
            watch()
            assert self._process is not None
            assert self._node is not None
            if self._process.poll() is not None:
                log = (self._paths.root / "node.log").read_text(encoding="utf-8", errors="replace")
                raise HarnessError(_why_ended(self._process.returncode, log))
            try:
                states = self._node.programs()
            except HarnessError:
                return False  # the supervisor is still starting
            for pod in plan.pods:
                if pod.address.name in waiting:
                    why = why_unready(pod, states)
                    if why is None:
                        del waiting[pod.address.name]
                        progress(f"{pod.address.name} is ready")
                    else:
                        waiting[pod.address.name] = why
            return not waiting

        try:
            wait_until(all_ready, what="every pod is ready", timeout_s=timeout_s, poll_s=0.05)
        except DeadlineExceeded as error:
            pods = {name: f"{why}{self._tail(plan, name)}" for name, why in waiting.items()}
            raise StackNotReady(waited_s=timeout_s, pods=pods) from error

    def _tail(self, plan: NodePlan, pod_name: str, lines: int = 5) -> str:
        found = []
        for pod in plan.pods:
            if pod.address.name == pod_name:
                for container in pod.workload.containers:
                    with suppress(OSError):
                        log = self._paths.log(pod.program(container)).read_text(encoding="utf-8", errors="replace")
                        found += log.splitlines()[-lines:]
        return "".join(f"\n    {line[:300]}" for line in found)


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


def _why_not_run(pod: PlannedPod) -> str | None:
    """Why this machine cannot run a pod; None when it can."""
    for container in (*pod.workload.init_containers, *pod.workload.containers):
        if container_argv(container, {}) is None:
            what = container.command[0] if container.command else f"image {container.image}, which names no command,"
            return f"not run: container {container.name} needs {what} and this machine does not have it"
    return None


def _describe_pod(pod: PlannedPod) -> RunningPod:
    return RunningPod(
        namespace=pod.address.namespace,
        name=pod.address.name,
        workload=pod.address.workload,
        address=pod.address.address,
        ports=pod.address.ports,
        programs={container.name: pod.program(container) for container in pod.workload.containers},
        volumes={volume.name: volume_path(pod.address, volume.name) for volume in pod.workload.volumes},
        labels=pod.address.labels,
        completes=pod.workload.restart_policy != "Always",
    )


def _url(pod: RunningPod, port: str | None = None) -> str:
    return f"http://{pod.address}:{pod.ports[port] if port else next(iter(pod.ports.values()))}"
