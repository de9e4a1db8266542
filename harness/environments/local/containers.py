"""A container's manifest as a command on this machine: its program, environment and mounts."""

from __future__ import annotations

import json
import os
import re
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.environments.local.programs import find_program, image_program
from harness.environments.local.sandbox import Bind
from harness.errors import HarnessError
from harness.model import PodAddress
from harness.stack.objects import Container, EnvVar, Volume, Workload

VOLUMES = "/var/lib/kubelet/pods"
# A volume in memory that may be filled to the brim must leave the machine alive.
MAX_VOLUME_BYTES = 256 * 1024 * 1024
_REFERENCE = re.compile(r"\$(\$)?\(([A-Za-z_][A-Za-z0-9_]*)\)")
_MACHINE_PATHS = ("/proc", "/sys", "/dev")
# Kinds of volumes whose content is written down for each pod, and that no pod may write to.
FILE_KINDS = ("config_map", "secret", "projected", "files")


@dataclass(frozen=True, slots=True)
class NodePaths:
    """Where a node keeps its things on disk, all inside the run's directory."""

    root: Path

    def files(self, pod: str, volume: str) -> Path:
        """The content of a ConfigMap, Secret or rendered configuration."""
        return self.root / "files" / pod / volume

    def host_path(self, source: str) -> Path:
        """What a pod sees under a host path that is not the machine's own."""
        # Resolved as a path of its own root, so that no ``..`` leads out of the node's directory.
        return self.root / "host" / os.path.normpath(f"/{source}").strip("/")

    def hosts(self, namespace: str) -> Path:
        """The hosts file of a namespace's pods."""
        return self.root / "hosts" / namespace

    def log(self, program: str) -> Path:
        """A container's output."""
        return self.root / "logs" / f"{program}.log"

    def script(self, program: str) -> Path:
        """The command line of a container, as supervisord starts it."""
        return self.root / "pods" / f"{program}.sh"

    @property
    def gpu(self) -> Path:
        """The simulated devices' state."""
        return self.root / "gpu" / "devices"


def pod_key(pod: PodAddress) -> str:
    """A pod's name on the node; two namespaces may each have a pod of one name."""
    return f"{pod.namespace}_{pod.name}"


def volume_path(pod: PodAddress, volume: str) -> str:
    """Where the node mounts a pod's volume, near to where a kubelet does."""
    return f"{VOLUMES}/{pod_key(pod)}/volumes/{volume}"


def volume_content(volume: Volume, workload: Workload, pod: PodAddress) -> dict[str, str]:
    """The content of a pod's volume by relative path, with what the downward API says of the pod."""
    fields = pod_fields(workload, pod)
    told = {path: fields[name] for path, name in volume.fields.items() if name in fields}
    return {**volume.files, **told}


def why_partial(volume: Volume, workload: Workload, pod: PodAddress) -> str | None:
    """What of a volume is not there for a pod on this machine; None where all is."""
    if volume.kind == "host_file":
        return None if is_machine_path(volume.source) else f"{volume.source} is no directory and is not mounted"
    if volume.kind not in (*FILE_KINDS, "host_path") and not is_tmpfs(volume):
        return f"kind {volume.kind} has no local form and is not mounted"
    fields = pod_fields(workload, pod)
    missing = [*volume.left_out, *(path for path, name in volume.fields.items() if name not in fields)]
    return f"{', '.join(missing)} has no local form and is not in it" if missing else None


def is_tmpfs(volume: Volume) -> bool:
    """Whether the node gives this volume a size-limited file system of its own."""
    return volume.kind in ("empty_dir", "claim")


def container_argv(container: Container, environment: Mapping[str, str]) -> list[str] | None:
    """The command with its references expanded and its program found; None when this machine cannot run it."""
    words = [*container.command, *container.args]
    if not container.command:
        program = image_program(container.image)
        if program is None:
            return None
        words = [program, *container.args]
    words = [expand(word, environment) for word in words]
    if words[0] in ("python", "python3"):
        return [sys.executable, *words[1:]]
    found = words[0] if words[0].startswith("/") and Path(words[0]).exists() else find_program(words[0])
    return None if found is None else [found, *words[1:]]


def container_environment(
    container: Container, workload: Workload, pod: PodAddress, *, given: Mapping[str, str]
) -> dict[str, str]:
    """What the container's process finds in its environment: the node's own variables, and the manifest's over them."""
    fields = pod_fields(workload, pod)
    environment = {**given, "POD_IP": pod.address, "POD_NAME": pod.name, "POD_NAMESPACE": pod.namespace}
    for variable in container.env:
        value = _value(variable, fields)
        if value is not None:
            environment[variable.name] = expand(value, environment)
    return environment


def unset_variables(container: Container, workload: Workload, pod: PodAddress) -> list[str]:
    """The variables that only a kubelet could give their values; the container does without them."""
    fields = pod_fields(workload, pod)
    return [
        variable.name
        for variable in container.env
        if _value(variable, fields) is None and variable.config_map_key is None and variable.secret_key is None
    ]


def pod_fields(workload: Workload, pod: PodAddress) -> dict[str, str]:
    """What the downward API says of a pod, by the paths of its fields."""
    return {
        "status.podIP": pod.address,
        "status.podIPs": pod.address,
        "status.hostIP": pod.address,
        "status.hostIPs": pod.address,
        "metadata.name": pod.name,
        "metadata.namespace": pod.namespace,
        "metadata.uid": str(uuid.uuid5(uuid.NAMESPACE_URL, pod_key(pod))),
        "spec.nodeName": "local",
        "spec.serviceAccountName": workload.service_account,
        "metadata.labels": _lines(pod.labels),
        "metadata.annotations": _lines(workload.annotations),
        **{f"metadata.labels['{name}']": value for name, value in pod.labels.items()},
        **{f"metadata.annotations['{name}']": value for name, value in workload.annotations.items()},
    }


def _lines(labels: Mapping[str, str]) -> str:
    """Labels or annotations as a kubelet writes them into a file."""
    return "\n".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in sorted(labels.items()))


def expand(text: str, environment: Mapping[str, str]) -> str:
    """``$(NAME)`` references replaced as a kubelet does: an unknown name stays as written, ``$$(NAME)`` escapes one."""

    def replace(match: re.Match[str]) -> str:
        if match.group(1):
            return match.group(0)[1:]
        return environment.get(match.group(2), match.group(0))

    return _REFERENCE.sub(replace, text)


def container_binds(
    container: Container, workload: Workload, pod: PodAddress, paths: NodePaths, *, environment: Mapping[str, str]
) -> list[Bind]:
    """The container's mounts, as sources inside the node. Volumes of kinds that have no local form are left out.

    ``environment``: the container's, for the references in its sub-paths. Raises HarnessError where one leads out of
    its volume.
    """
    volumes = {volume.name: volume for volume in workload.volumes}
    binds = []
    for mount in container.mounts:
        volume = volumes[mount.volume]
        source = _source(volume, pod, paths)
        if source is None:
            continue
        inner = expand(mount.sub_path, environment) if mount.expands else mount.sub_path
        if inner.startswith("/") or ".." in inner.split("/"):
            raise HarnessError(f"{workload.where}: container {container.name}: {inner!r} leads out of {mount.volume}")
        if inner:
            source = f"{source.rstrip('/')}/{inner}"
        read_only = mount.read_only or volume.kind in FILE_KINDS
        # A kubelet makes a sub-path, too; but nothing is made on the machine itself.
        made = bool(inner) and volume.kind not in FILE_KINDS and not is_machine_path(volume.source)
        binds.append(Bind(source=source, path=mount.path, read_only=read_only, made=made))
    return binds


def _source(volume: Volume, pod: PodAddress, paths: NodePaths) -> str | None:
    if is_tmpfs(volume):
        return volume_path(pod, volume.name)
    if volume.kind in FILE_KINDS:
        return str(paths.files(pod_key(pod), volume.name))
    if volume.kind == "host_file":
        return volume.source if is_machine_path(volume.source) else None
    if volume.kind == "host_path":
        return volume.source if is_machine_path(volume.source) else str(paths.host_path(volume.source))
    return None


def is_machine_path(path: str) -> bool:
    """Whether a host path means the machine itself (``/``, ``/proc``…) rather than a directory for the pod's use."""
    return path == "/" or any(path == base or path.startswith(base + "/") for base in _MACHINE_PATHS)


def _value(variable: EnvVar, fields: Mapping[str, str]) -> str | None:
    if variable.field_path is not None:
        return fields.get(variable.field_path)
    return variable.value
