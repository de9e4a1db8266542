"""Makes the containers of a node's pods through testcontainers; the node's supervisor starts them then.

A pod's container has the network, the name service and the files of a pod in the sandbox, and is confined as the
operator's are: no capabilities, its own file system read-only. So nothing of a container outlasts its restart but its
volumes, as under a kubelet. These are kept by one more container that does nothing: Docker unmounts a volume in memory,
and so empties it, as soon as nothing that runs mounts it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.environments.local.docker_node import LABEL, DockerNode
from harness.errors import HarnessError

if TYPE_CHECKING:
    from testcontainers.core.docker_client import DockerClient

_API_TIMEOUT_S = 60


@dataclass(frozen=True, slots=True)
class DockerVolume:
    """A size-limited volume in memory: what Docker calls it, and where whoever holds the node's volumes has it."""

    name: str
    path: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class DockerMount:
    """A file or directory of this machine, or a volume of Docker's, at ``path`` in a container."""

    source: str
    path: str
    read_only: bool
    is_volume: bool = False


@dataclass(frozen=True, slots=True)
class DockerContainer:
    """A container to make. An empty ``entrypoint`` is the image's own; ``command`` always goes before the image's."""

    name: str
    image: str
    entrypoint: Sequence[str]
    command: Sequence[str]
    environment: Mapping[str, str]
    mounts: Sequence[DockerMount]
    working_dir: str | None


def make_containers(
    node: DockerNode, containers: Sequence[DockerContainer], volumes: Sequence[DockerVolume], *, run_dir: str
) -> None:
    """Every container is there, not started, and its volumes are mounted and empty. Raises HarnessError.

    Whatever was made is removed by the node's ``remove``, also when this failed half-way.
    """
    # Takes a while to import, and most runs have no containers.
    import docker.errors
    import requests
    from testcontainers.core.config import testcontainers_config

    # Its own reaper is an image from a registry, and a node that `harness up` made has to outlive this process.
    testcontainers_config.ryuk_disabled = True
    # The mapping has said already where images come from.
    testcontainers_config.hub_image_name_prefix = ""
    labels = {LABEL: node.key, "harness.run-directory": run_dir}
    try:
        client = _client(node.host)
        try:
            for volume in volumes:
                _make_volume(client, volume, labels)
            if volumes:
                _hold(node, containers[0].image, volumes, labels)
            for container in containers:
                _make(client, container, labels)
        finally:
            client.client.close()
    except (docker.errors.DockerException, requests.RequestException) as error:
        raise HarnessError(f"containers of the node: Docker at {node.host}: {error}") from error


def _client(host: str) -> DockerClient:
    from testcontainers.core.docker_client import DockerClient

    return DockerClient(environment={"DOCKER_HOST": host}, timeout=_API_TIMEOUT_S)


def _make_volume(client: DockerClient, volume: DockerVolume, labels: Mapping[str, str]) -> None:
    options = {"type": "tmpfs", "device": "tmpfs", "o": f"size={volume.size_bytes},mode=0777,nosuid,nodev"}
    client.client.volumes.create(volume.name, driver="local", driver_opts=options, labels=dict(labels))


def _hold(node: DockerNode, image: str, volumes: Sequence[DockerVolume], labels: Mapping[str, str]) -> None:
    """A container that keeps the volumes mounted, of this process's user, who so can reach into them."""
    import docker.errors
    from testcontainers.core.container import DockerContainer as Container

    holder = Container(image, docker_client_kw={"environment": {"DOCKER_HOST": node.host}, "timeout": _API_TIMEOUT_S})
    holder.with_name(node.holder).with_command(["infinity"])
    holder.with_kwargs(
        entrypoint=["sleep"],
        user=f"{os.getuid()}:{os.getgid()}",
        mounts=[_mount(DockerMount(each.name, each.path, read_only=False, is_volume=True)) for each in volumes],
        labels=dict(labels),
        **_CONFINED,
    )
    try:
        holder.start()
    except docker.errors.APIError as error:
        if "executable file not found" not in str(error):
            raise
        raise HarnessError(
            f"image {image}: has no `sleep`, by which the pods' volumes are kept in memory; name another in the mapping"
        ) from error
    finally:
        holder.get_docker_client().client.close()


def _make(client: DockerClient, container: DockerContainer, labels: Mapping[str, str]) -> None:
    client.create(
        container.image,
        command=list(container.command),
        environment=dict(container.environment),
        labels=dict(labels),
        name=container.name,
        entrypoint=list(container.entrypoint) or None,
        working_dir=container.working_dir,
        mounts=[_mount(each) for each in container.mounts],
        **_CONFINED,
    )


def _mount(mount: DockerMount) -> Any:
    from docker.types import Mount

    kind = "volume" if mount.is_volume else "bind"
    # Without no_copy a volume would get the owner and the content of what the image has in that place.
    more = {"no_copy": True} if mount.is_volume else {}
    return Mount(mount.path, mount.source, type=kind, read_only=mount.read_only, **more)


_CONFINED: dict[str, Any] = {
    "network": "host",
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
}
