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
from harness.clock import RunClock
from harness.environments.local.addresses import AddressBlock, lease_block
from harness.environments.local.containers import NodePaths, container_argv
from harness.environments.local.describing import describe_node
from harness.environments.local.docker_layout import DockerLayout, plan_containers
from harness.environments.local.docker_lifetime import ContainedPods
from harness.environments.local.docker_parts import choose_parts, have_images, resolve_parts
from harness.environments.local.docker_versions import read_versions
from harness.environments.local.layout import SIMULATED_GPU_DIR, NodeLayout
from harness.environments.local.lifeline import Lifeline, new_lifeline
from harness.environments.local.node import LocalNode
from harness.environments.local.plan import NodePlan, PlannedPod, host_names, plan_node
from harness.environments.local.ports import require_free_ports
from harness.environments.local.programs import program_version
from harness.environments.local.sandbox import ends_with_input, interpreter_paths, node_argv, program_directories
from harness.environments.local.startup import Startup
from harness.environments.local.state import NodeState
from harness.environments.local.supervisor import new_password
from harness.environments.processes import end_sandbox, process_started
from harness.environments.receiver import with_receiver
from harness.stack import Stack, render_alertmanager, render_prometheus
from harness.stack.objects import Rendered

# What no local environment has, whatever the stack.
_NEVER_EXERCISED = (
    "the Prometheus operator: its objects are rendered to plain configuration",
    "Kubernetes itself: scheduling, RBAC, network policy, liveness probes, limits other than volume sizes",
)
# Of the sandbox's variables, those that mean something in an image, too.
_EVERYWHERE = ("TIME_SCALE",)
_NO_IMAGES = "container images: the commands of the manifests run from this machine"


class LocalEnvironment:
    """A stack on this machine: ``up``, then work with the node, then ``down``, which may be called at any time."""

    name = "local"

    def __init__(
        self,
        stack: Stack,
        run_dir: Path,
        *,
        images: str = "official",
        time_scale: float,
        seed: int,
        dies_with_harness: bool = True,
    ) -> None:
        """``images``: the mapping for what runs as a container. Nothing is touched.

        Raises HarnessError when a program this environment needs is missing and Docker cannot take its place,
        InputError for a mapping that is wrong.
        """
        self._parts = choose_parts()
        self._stack = with_receiver(stack)
        self._images = resolve_parts(self._parts, self._stack.workloads, images)
        self._run_dir = run_dir.resolve()
        self._paths = NodePaths(self._run_dir / "node")
        self._time_scale = time_scale
        self._seed = seed
        self._dies_with_harness = dies_with_harness
        self._block: AddressBlock | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._contained: ContainedPods | None = None
        self._lifeline: Lifeline | None = None

    def up(
        self,
        *,
        timeout_s: float,
        progress: Callable[[str], None] = lambda text: None,
        watch: Callable[[], None] = lambda: None,
    ) -> LocalNode:
        """The running node, once every pod is ready. ``watch`` is called while waiting and may raise to end it.

        Must be called on the main thread: the sandbox ends with the thread that started it. ``timeout_s`` is for the
        pods; images that have to be built or pulled first take their own time.
        Raises StackNotReady naming what is not ready and the last lines of its output.
        """
        identities = self._have_images(progress, watch)
        clock = RunClock.start()
        self._block = lease_block(self._seed)
        whole = plan_node(self._stack, self._block)
        why_not = [(pod, self._why_not_run(pod)) for pod in whole.pods]
        plan = replace(whole, pods=tuple(pod for pod, why in why_not if why is None))
        require_free_ports(plan, self._block.node)
        docker = plan_containers(plan, self._parts, self._images)
        state = self._describe(plan, docker)
        rendered = self._render(plan, state)
        left_out = [
            *_NEVER_EXERCISED,
            *([_NO_IMAGES] if docker is None else [*docker.notes(identities), f"other {_NO_IMAGES}"]),
            *(f"{pod.workload.kind}/{pod.workload.name}: {why}" for pod, why in why_not if why),
            *plan.notes,
            *(note for part in rendered.values() for note in part.notes),
            *(f"{ignored}: needs a controller that is not here" for ignored in self._stack.ignored),
            *(["GPU hardware: the devices are simulated"] if state.gpu == "simulated" else []),
        ]
        state = replace(state, not_exercised=tuple(dict.fromkeys(left_out)))
        self._start(plan, rendered, state, docker)
        assert self._process is not None
        state = replace(state, pid=self._process.pid, pid_started=process_started(self._process.pid) or 0.0)
        state.save()
        startup = Startup(plan, LocalNode(state), self._process)
        startup.wait_ready(timeout_s=timeout_s, progress=progress, watch=watch)
        told = read_versions(docker.parts, state) if docker else {}
        state = replace(state, ready_s=round(clock.now_s(), 3), versions={**state.versions, **told})
        state.save()
        return LocalNode(state)

    def down(self) -> None:
        """Nothing of the stack runs any more; the run's directory keeps its logs."""
        if self._process is not None:
            end_sandbox(self._process.pid)
            self._process.wait(timeout=10)
            self._process = None
        if self._contained is not None:
            self._contained.remove()
        if self._lifeline is not None:
            self._lifeline.release()
        if self._block is not None:
            self._block.lease.close()

    def _have_images(self, progress: Callable[[str], None], watch: Callable[[], None]) -> Mapping[str, str]:
        """The identities of the images that run here, which are all in Docker."""
        if self._parts.docker is None:
            return {}
        try:
            return have_images(self._images.values(), self._parts.docker, progress=progress)
        finally:
            watch()  # the signal that ended a build or a pull is meant for this process, too

    def _why_not_run(self, pod: PlannedPod) -> str | None:
        """Why this machine cannot run a pod; None when it can."""
        if self._parts.contains(pod.workload):
            return None
        for container in (*pod.workload.init_containers, *pod.workload.containers):
            if container_argv(container, {}) is None:
                what = (
                    container.command[0] if container.command else f"image {container.image}, which names no command,"
                )
                return f"not run: container {container.name} needs {what} and this machine does not have it"
        return None

    def _describe(self, plan: NodePlan, docker: DockerLayout | None) -> NodeState:
        assert self._block is not None
        return describe_node(
            self._stack,
            plan,
            run_dir=self._run_dir,
            address=self._block.node,
            password=new_password(),
            gpu=self._prepare_gpu(),
            time_scale=self._time_scale,
            seed=self._seed,
            versions={name: program_version(path) for name, path in self._parts.programs.items()},
            docker=docker,
        )

    def _prepare_gpu(self) -> str:
        """The real device's name, or ``simulated`` once its state file is there."""
        with suppress(gpu.GpuUnavailable):
            return gpu.connect().name or "unnamed GPU"
        self._paths.gpu.parent.mkdir(parents=True)
        gpu.create(self._paths.gpu, time_scale=self._time_scale)
        return "simulated"

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

    def _variables(self, simulated: bool) -> dict[str, str]:
        """What every container of the sandbox finds in its environment."""
        return {
            "PATH": os.pathsep.join([os.path.dirname(sys.executable), "/usr/local/bin", "/usr/bin", "/bin"]),
            "HOME": "/tmp",
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "TIME_SCALE": f"{self._time_scale:g}",
            **({"SIMULATED_GPU": f"{SIMULATED_GPU_DIR}/{self._paths.gpu.name}"} if simulated else {}),
        }

    def _start(
        self, plan: NodePlan, rendered: Mapping[str, Rendered], state: NodeState, docker: DockerLayout | None
    ) -> None:
        commands = (container_argv(container, {}) for pod in plan.pods for container in pod.workload.containers)
        programs = [argv[0] for argv in commands if argv is not None]
        programs += [self._parts.programs["bwrap"], *([docker.docker.program] if docker else [])]
        read_only = [*interpreter_paths(), *program_directories(programs)]
        simulated = state.gpu == "simulated"
        variables = self._variables(simulated)
        layout = NodeLayout(
            plan=plan,
            paths=self._paths,
            bwrap=self._parts.programs["bwrap"],
            read_only=read_only,
            rendered=rendered,
            variables=variables,
            simulated_gpu=simulated,
            address=state.address,
            password=state.password,
            docker=docker,
        )
        configuration = layout.write()
        assert self._block is not None
        keeps = [self._block.lease.fileno()]
        if docker is not None:
            self._contained = ContainedPods(docker, self._paths, self._run_dir)
            keeps.append(self._contained.make(plan, rendered, given={name: variables[name] for name in _EVERYWHERE}))
        self._lifeline = new_lifeline()
        command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(configuration)]
        argv = node_argv(
            bwrap=self._parts.programs["bwrap"],
            read_only=read_only,
            run_dir=self._run_dir,
            volumes=plan.volumes if docker is None else docker.other_volumes(plan),
            real_devices=not simulated,
            dies_with_parent=self._dies_with_harness,
            docker_socket=docker.docker.socket if docker else None,
            working_dir=configuration.parent,
            command=ends_with_input(command) if self._dies_with_harness else command,
        )
        with (self._paths.root / "node.log").open("wb") as log:
            # A session of its own keeps the terminal's Ctrl-C from the pods: the harness takes them down in order.
            self._process = subprocess.Popen(
                argv,
                stdin=self._lifeline.watched if self._dies_with_harness else subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=keeps,
                env={"PATH": variables["PATH"], "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"},
            )
        self._lifeline.watched.close()
        if self._contained is not None:
            self._contained.hand_over()
