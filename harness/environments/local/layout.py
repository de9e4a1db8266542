"""Writes what the node's processes read: configuration, hosts files, container scripts, the supervisor's own file."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.environments.local.containers import (
    FILE_KINDS,
    NodePaths,
    container_argv,
    container_binds,
    container_environment,
    is_machine_path,
    pod_key,
    volume_content,
)
from harness.environments.local.docker_layout import DockerLayout
from harness.environments.local.plan import NodePlan, PlannedPod, hosts_file, proxy_configuration
from harness.environments.local.sandbox import DOCKER_SOCKET, Bind, pod_argv
from harness.environments.local.supervisor import Program, configuration
from harness.errors import HarnessError
from harness.stack.objects import Container, Rendered

SERVICE_PROXY = "service-proxy"
SIMULATED_GPU_DIR = "/run/simulated-gpu"


@dataclass(frozen=True, slots=True)
class NodeLayout:
    """What is needed to write a node's files.

    ``rendered``: for each workload the operator would run, by its app name, its configuration and extra flags.
    ``variables``: what every container finds in its environment. ``read_only``: directories every sandbox shows.
    ``docker``: the pods that Docker runs; None where it runs none.
    """

    plan: NodePlan
    paths: NodePaths
    bwrap: str
    read_only: Sequence[str]
    rendered: Mapping[str, Rendered]
    variables: Mapping[str, str]
    simulated_gpu: bool
    address: str
    password: str
    docker: DockerLayout | None = None

    def write(self) -> Path:
        """Writes everything; the result is supervisord's configuration file, for one that runs in its directory."""
        for name in ("logs", "pods", "files", "host", "hosts"):
            (self.paths.root / name).mkdir(parents=True, exist_ok=True)
        programs = [self._write_proxy()]
        for namespace in {pod.address.namespace for pod in self.plan.pods}:
            self.paths.hosts(namespace).write_text(hosts_file(self.plan, namespace), encoding="utf-8")
        for pod in self.plan.pods:
            self._write_volumes(pod)
            programs += [self._write_container(pod, container) for container in pod.workload.containers]
        if self.docker is not None:
            self.docker.open_files(self.paths)
        path = self.paths.root / "supervisord.conf"
        path.touch(mode=0o600)
        path.write_text(
            configuration(address=self.address, password=self.password, programs=programs), encoding="utf-8"
        )
        return path

    def _write_proxy(self) -> Program:
        path = self.paths.root / "service-proxy.json"
        path.write_text(json.dumps(proxy_configuration(self.plan.services)), encoding="utf-8")
        script = self.paths.script(SERVICE_PROXY)
        argv = [sys.executable, "-m", "harness.environments.local.service_proxy", str(path)]
        script.write_text(_script([], _shell_command(argv, become=True), marker=None, again=None), encoding="utf-8")
        return self._program(SERVICE_PROXY, "Always")

    def _write_volumes(self, pod: PlannedPod) -> None:
        rendered = self._rendered(pod)
        for volume in pod.workload.volumes:
            if volume.kind in FILE_KINDS:
                own = volume_content(volume, pod.workload, pod.address)
                files = rendered.files if rendered and volume.kind == "files" else own
                directory = self.paths.files(pod_key(pod.address), volume.name)
                directory.mkdir(parents=True)
                for name, content in files.items():
                    target = _within(directory, name)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(content.encode("utf-8", errors="surrogateescape"))
            elif volume.kind == "host_path" and not is_machine_path(volume.source):
                self.paths.host_path(volume.source).mkdir(parents=True, exist_ok=True)

    def _write_container(self, pod: PlannedPod, container: Container) -> Program:
        name = pod.program(container)
        program = self._program(name, pod.workload.restart_policy)
        if self.docker is not None and self.docker.runs(pod):
            self.paths.script(name).write_text(self.docker.script(name), encoding="utf-8")
            return program
        rendered = self._rendered(pod)
        main = self._command(pod, container, rendered.flags if rendered else (), become=True)
        init = [self._command(pod, before, ()) for before in pod.workload.init_containers]
        marker = self.paths.script(pod_key(pod.address)).with_suffix(".initialized")
        again = self.paths.script(name).with_suffix(".begun") if program.restart == "OnFailure" else None
        self.paths.script(name).write_text(_script(init, main, marker=marker, again=again), encoding="utf-8")
        return program

    def _program(self, name: str, restart: str) -> Program:
        script, log = self.paths.script(name), self.paths.log(name)
        root = self.paths.root
        return Program(name, str(script.relative_to(root)), str(log.relative_to(root)), restart)

    def _command(self, pod: PlannedPod, container: Container, flags: Iterable[str], *, become: bool = False) -> str:
        variables = container_environment(container, pod.workload, pod.address, given=self.variables)
        command = container_argv(container, variables)
        assert command is not None  # the plan holds only what this machine can run
        binds = container_binds(container, pod.workload, pod.address, self.paths, environment=variables)
        binds.append(Bind(str(self.paths.hosts(pod.address.namespace)), "/etc/hosts", read_only=True))
        if self.simulated_gpu:
            binds.append(Bind(str(self.paths.gpu.parent), SIMULATED_GPU_DIR, read_only=False))
        argv = pod_argv(
            bwrap=self.bwrap,
            read_only=self.read_only,
            binds=binds,
            hidden=[bind.path.rstrip("/") + path for bind in binds if bind.source == "/" for path in self._hidden()],
            sees_node=pod.workload.host_pid,
            environment=variables,
            working_dir=container.working_dir,
            command=[*command, *flags],
        )
        return _shell_command(argv, made=[bind.source for bind in binds if bind.made], become=become)

    def _hidden(self) -> list[str]:
        """What is no part of the node though it is in it: the run's directory, whose disk is not the node's disk."""
        docker = [os.path.dirname(DOCKER_SOCKET)] if self.docker is not None else []
        return [str(self.paths.root.parent), *docker]

    def _rendered(self, pod: PlannedPod) -> Rendered | None:
        return self.rendered.get(pod.part) if pod.part else None


def _within(directory: Path, name: str) -> Path:
    """A file below the directory. Raises HarnessError for a name that leads out of it."""
    target = directory / name
    if not target.resolve().is_relative_to(directory.resolve()):
        raise HarnessError(f"{name!r} leads out of its volume")
    return target


def _shell_command(argv: Sequence[str], *, made: Iterable[str] = (), become: bool = False) -> str:
    """A shell's command, once the directories ``made`` are there; ``become``: in the place of the shell."""
    first = [f"{{ [ -e {path} ] || mkdir -p -m 0777 {path}; }} && " for path in map(shlex.quote, made)]
    return "".join(first) + ("exec " if become else "") + shlex.join(argv)


def _script(init: Sequence[str], main: str, *, marker: Path | None, again: Path | None) -> str:
    """A shell script that becomes the container; init containers run before it, one after another, once for the pod.

    ``again``: the file by whose age a start that follows the last one within a second is told, which then waits.
    """
    lines = ["#!/bin/sh"]
    if again is not None:  # supervisord starts work that failed anew at once, be it for ever
        begun = shlex.quote(str(again))
        lines.append(f"[ -z \"$(find {begun} -newermt '1 second ago' 2>/dev/null)\" ] || sleep 1; : > {begun}")
    if init and marker is not None:
        done = shlex.quote(str(marker))
        steps = " && ".join(init)
        # Several containers of a pod start at once: the lock lets one of them do it and the others wait.
        lines.append(f"( flock 9 && {{ [ -e {done} ] || {{ {steps} && : > {done}; }}; }} ) 9> {done}.lock || exit 1")
    lines.append(main)
    return "\n".join(lines) + "\n"
