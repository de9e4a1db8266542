"""Bubblewrap command lines: the node, which holds the volumes and ends with its first process, and the pods in it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

# What an image's base layer would bring; everything else a container writes to is its own, empty and in memory.
_BASE = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/opt", "/sys")
_SCRATCH = ("/tmp", "/run", "/var", "/home", "/root")
# In a directory of its own, which pods that see the node's files do not see.
DOCKER_SOCKET = "/run/docker/docker.sock"
# Where the machine's directories stay visible after a mount has shadowed one of them.
_SHADOWED = "/.machine"


@dataclass(frozen=True, slots=True)
class TmpfsMount:
    """A size-limited volume in memory."""

    path: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Bind:
    """A directory or file of the outer world at ``path``. ``made``: where there is none, a directory is made of it."""

    source: str
    path: str
    read_only: bool
    made: bool = False


def node_argv(
    *,
    bwrap: str,
    read_only: Iterable[str],
    run_dir: Path,
    volumes: Sequence[TmpfsMount],
    real_devices: bool,
    dies_with_parent: bool,
    docker_socket: str | None,
    working_dir: Path,
    command: Sequence[str],
) -> list[str]:
    """The command that runs ``command`` as the node: own PIDs, own mounts, of the disk only the run's directory.

    ``docker_socket``: the daemon's, for what the node starts through it; inside, it is ``DOCKER_SOCKET``.
    """
    argv = [bwrap, "--unshare-pid", *(["--die-with-parent"] if dies_with_parent else [])]
    argv += _base_root(read_only)
    argv += ["--dev-bind", "/dev", "/dev"] if real_devices else ["--dev", "/dev"]
    argv += ["--proc", "/proc"]
    argv += ["--bind", str(run_dir), str(run_dir)]
    argv += ["--bind", docker_socket, DOCKER_SOCKET] if docker_socket else []
    for volume in volumes:
        argv += ["--perms", "0777", "--size", str(volume.size_bytes), "--tmpfs", volume.path]
    return [*argv, "--chdir", str(working_dir), "--", *command]


def ends_with_input(command: Sequence[str]) -> list[str]:
    """The command, which is killed as soon as its standard input ends; it does not read that itself."""
    script = '(read -r _ <&3; kill -KILL $$) & exec "$@" </dev/null 3<&-'
    return ["/bin/sh", "-c", f"exec 3<&0; {script}", "sh", *command]


def pod_argv(
    *,
    bwrap: str,
    read_only: Iterable[str],
    binds: Sequence[Bind],
    hidden: Sequence[str],
    sees_node: bool,
    environment: dict[str, str],
    working_dir: str | None,
    command: Sequence[str],
) -> list[str]:
    """The command that runs one container inside the node, with its volumes where its manifest mounts them.

    ``hidden``: directories that it finds empty. ``sees_node``: the node's processes and mounts, not only its own.
    """
    # Its own process numbers, as a container has: the kernel ends what its first process leaves behind.
    alone = [] if sees_node else ["--unshare-pid", "--as-pid-1"]
    argv = [bwrap, *alone, "--die-with-parent", *_base_root(read_only), "--dev-bind", "/dev", "/dev"]
    argv += ["--bind", "/proc", "/proc"] if sees_node else ["--proc", "/proc"]
    argv += _shadows([bind.path for bind in binds])
    for bind in sorted(binds, key=lambda bind: bind.path.count("/")):
        argv += [_bind_option(bind), bind.source, bind.path]
    for path in hidden:
        argv += ["--tmpfs", path]
    argv += ["--clearenv"]
    for name, value in environment.items():
        argv += ["--setenv", name, value]
    # A container runtime makes the working directory where the image does not have it.
    argv += ["--dir", working_dir] if working_dir else []
    return [*argv, "--chdir", working_dir or "/", "--", *command]


def _bind_option(bind: Bind) -> str:
    if bind.read_only:
        return "--ro-bind"
    # What lies below is the node's own /dev, which a plain bind shows without its devices working.
    return "--dev-bind" if PurePosixPath(bind.source).is_relative_to("/dev") else "--bind"


def program_directories(programs: Iterable[str]) -> tuple[str, ...]:
    """Directories outside the base that these programs are in, as they were found and where they really lie."""
    directories = {os.path.dirname(path) for program in programs for path in (program, os.path.realpath(program))}
    return tuple(sorted(path for path in directories if not _in_base(path)))


def interpreter_paths() -> tuple[str, ...]:
    """Directories outside the base that the running Python needs: its environment, its home and this package."""
    package = Path(__file__).resolve().parents[3]
    found = {sys.prefix, sys.base_prefix, os.path.realpath(sys.base_prefix), str(package)}
    found.add(str(Path(os.path.realpath(sys.executable)).parents[1]))
    return tuple(sorted(path for path in found if not path.startswith("/usr/") and path not in ("/", "/usr")))


def _base_root(read_only: Iterable[str]) -> list[str]:
    argv: list[str] = []
    for path in _SCRATCH:
        argv += ["--perms", "1777", "--tmpfs", path]
    for path in _BASE:
        if os.path.islink(path):
            argv += ["--symlink", os.readlink(path), path]
        elif os.path.isdir(path):
            argv += ["--ro-bind", path, path]
    for path in sorted(set(read_only)):
        argv += ["--ro-bind-try", path, path]
    return argv


def _shadows(targets: Iterable[str]) -> list[str]:
    """Makes room for mount points inside read-only directories of the machine.

    A mount point that does not exist in, say, ``/etc`` cannot be made there. Such a directory becomes an empty one
    whose entries are links to the machine's own, kept visible under ``/.machine``.
    """
    argv: list[str] = []
    done: set[str] = set()
    wanted = set(targets)
    for target in sorted(wanted):
        parent = _existing_parent(target)
        if parent is None or parent in done:
            continue
        done.add(parent)
        argv += ["--ro-bind", parent, _SHADOWED + parent, "--tmpfs", parent]
        for entry in sorted(os.listdir(parent)):
            if f"{parent}/{entry}" in wanted:
                continue  # a link here would be in the way of the mount
            argv += ["--symlink", f"{_SHADOWED}{parent}/{entry}", f"{parent}/{entry}"]
    return argv


def _existing_parent(target: str) -> str | None:
    """The deepest existing ancestor of a mount point missing in a read-only directory; None where it can be made."""
    if not _in_base(target) or os.path.exists(target):
        return None
    parent = PurePosixPath(target).parent
    while not os.path.isdir(parent):
        parent = parent.parent
    return str(parent)


def _in_base(path: str) -> bool:
    return any(PurePosixPath(path).is_relative_to(base) for base in _BASE)
