"""Pods that Docker runs, as containers and volumes to make: what layout.py is for those of the sandbox."""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.environments.images import ResolvedImage
from harness.environments.local.containers import (
    NodePaths,
    container_binds,
    container_environment,
    expand,
    is_tmpfs,
    pod_key,
    volume_path,
)
from harness.environments.local.docker_daemon import Docker
from harness.environments.local.docker_node import DockerNode
from harness.environments.local.docker_parts import Parts
from harness.environments.local.docker_pods import DockerContainer, DockerMount, DockerVolume
from harness.environments.local.plan import NodePlan, PlannedPod
from harness.environments.local.sandbox import DOCKER_SOCKET, TmpfsMount
from harness.stack.objects import Container, Rendered

_READABLE_DIRECTORY, _READABLE_FILE = 0o755, 0o644


def plan_containers(plan: NodePlan, parts: Parts, images: Mapping[str, ResolvedImage]) -> DockerLayout | None:
    """What of a plan Docker runs; None where it runs nothing."""
    pods = tuple(pod for pod in plan.pods if parts.contains(pod.workload))
    if parts.docker is None or not pods:
        return None
    return DockerLayout(parts.docker, DockerNode(parts.docker.host, secrets.token_hex(4)), pods, images)


@dataclass(frozen=True, slots=True)
class DockerLayout:
    """The pods of a plan that Docker runs. ``images``: by how manifests name them."""

    docker: Docker
    node: DockerNode
    pods: tuple[PlannedPod, ...]
    images: Mapping[str, ResolvedImage]

    def runs(self, pod: PlannedPod) -> bool:
        """Whether the pod is one of them."""
        return pod in self.pods

    @property
    def parts(self) -> tuple[str, ...]:
        """Which of ``prometheus`` and ``alertmanager`` they are."""
        return tuple(dict.fromkeys(pod.part for pod in self.pods if pod.part))

    def script(self, program: str) -> str:
        """What the supervisor runs in the container's place: it lives as long, and ends with the same status.

        The supervisor so restarts it as it does all others. What the container writes comes out here too.
        """
        start = [self.docker.program, "start", "--attach", self.node.container(program)]
        return f"#!/bin/sh\nDOCKER_HOST=unix://{DOCKER_SOCKET} exec {shlex.join(start)}\n"

    def volumes(self, plan: NodePlan) -> list[DockerVolume]:
        """The pods' volumes in memory, of the sizes they are planned with."""
        sizes = {mount.path: mount.size_bytes for mount in plan.volumes}
        return [
            DockerVolume(self.node.volume(pod_key(pod.address), volume.name), path, sizes[path])
            for pod in self.pods
            for volume in pod.workload.volumes
            if (path := volume_path(pod.address, volume.name)) in sizes
        ]

    def other_volumes(self, plan: NodePlan) -> list[TmpfsMount]:
        """The volumes that are left to the node itself."""
        own = {volume.path for volume in self.volumes(plan)}
        return [mount for mount in plan.volumes if mount.path not in own]

    def containers(
        self, paths: NodePaths, rendered: Mapping[str, Rendered], *, given: Mapping[str, str]
    ) -> list[DockerContainer]:
        """Every container of the pods. ``given``: what all find in their environment; manifests go before it."""
        return [
            self._container(pod, container, paths, rendered[pod.part or ""].flags, given)
            for pod in self.pods
            for container in pod.workload.containers
        ]

    def open_files(self, paths: NodePaths) -> None:
        """What the pods mount of the run's directory can be read by whatever user their images run as."""
        for pod in self.pods:
            paths.hosts(pod.address.namespace).chmod(_READABLE_FILE)
            for volume in pod.workload.volumes:
                root = paths.files(pod_key(pod.address), volume.name)
                for path in [root, *root.rglob("*")] if root.is_dir() else ():
                    path.chmod(_READABLE_DIRECTORY if path.is_dir() else _READABLE_FILE)

    def notes(self, identities: Mapping[str, str]) -> list[str]:
        """What of the stack ran so, for the report. ``identities``: of the images' content, by their references."""
        asked = {
            (pod.address.workload, container.image): self.images[container.image].reference
            for pod in self.pods
            for container in pod.workload.containers
        }
        return [
            f"{workload}: ran as a container of the image {reference} ({_short(identities[reference])}) under Docker "
            f"{self.docker.version}" + (f", where its manifest names {image}" if image != reference else "")
            for (workload, image), reference in asked.items()
        ]

    def _container(
        self, pod: PlannedPod, container: Container, paths: NodePaths, flags: Sequence[str], given: Mapping[str, str]
    ) -> DockerContainer:
        environment = container_environment(container, pod.workload, pod.address, given=given)
        return DockerContainer(
            name=self.node.container(pod.program(container)),
            image=self.images[container.image].reference,
            entrypoint=[expand(word, environment) for word in container.command],
            command=[*(expand(word, environment) for word in container.args), *flags],
            environment=environment,
            mounts=[*self._mounts(pod, container, paths, environment)],
            working_dir=container.working_dir,
        )

    def _mounts(
        self, pod: PlannedPod, container: Container, paths: NodePaths, environment: Mapping[str, str]
    ) -> Iterator[DockerMount]:
        yield DockerMount(str(paths.hosts(pod.address.namespace)), "/etc/hosts", read_only=True)
        own = {
            volume_path(pod.address, volume.name): self.node.volume(pod_key(pod.address), volume.name)
            for volume in pod.workload.volumes
            if is_tmpfs(volume)
        }
        for bind in container_binds(container, pod.workload, pod.address, paths, environment=environment):
            name = own.get(bind.source)
            yield DockerMount(name or bind.source, bind.path, bind.read_only, is_volume=name is not None)


def _short(identity: str) -> str:
    """An image's identity as ``docker images`` shows it."""
    return identity.removeprefix("sha256:")[:12]
