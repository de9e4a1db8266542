"""The Docker daemon of this machine, asked through its command line, which any process can do without much ado."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass

from harness.errors import HarnessError

_PROGRAM = "docker"
_SCHEME = "unix://"
_TIMEOUT_S = 30.0


class DockerUnusable(HarnessError):
    """There is no Docker here that could run pods."""


@dataclass(frozen=True, slots=True)
class Docker:
    """A daemon that answers. ``host``: where, as ``DOCKER_HOST`` has it; always a socket of this machine."""

    program: str
    host: str
    version: str

    @property
    def socket(self) -> str:
        """The path of the daemon's socket."""
        return self.host.removeprefix(_SCHEME)


def find_docker() -> Docker:
    """The daemon that ``docker`` talks to. Raises DockerUnusable, saying what is wrong, when there is none to use.

    Pods share this machine's loopback addresses, files and processes: a daemon elsewhere is of no use to them.
    """
    program = shutil.which(_PROGRAM)
    if program is None:
        raise DockerUnusable("docker is not on PATH")
    try:
        host = ask("context", "inspect", "--format", "{{.Endpoints.docker.Host}}").strip()
        if not host.startswith(_SCHEME):
            raise DockerUnusable(f"docker talks to {host or 'nobody'}, need a daemon on this machine ({_SCHEME}…)")
        about = ask("info", "--format", "{{.ServerVersion}}\n{{.OperatingSystem}}\n{{.SecurityOptions}}", host=host)
    except HarnessError as error:
        raise DockerUnusable(str(error)) from error
    version, system, security = [*about.splitlines(), "", "", ""][:3]
    apart = next((word for word in ("rootless", "userns", "Docker Desktop") if word in system + security), None)
    if apart:
        raise DockerUnusable(f"this Docker ({apart}) gives no container the network of this machine itself")
    return Docker(program, host, version)


def ask(*arguments: str, host: str | None = None, timeout_s: float = _TIMEOUT_S, interruptible: bool = False) -> str:
    """What a Docker command printed. Raises HarnessError with its last line when it fails."""
    answer = run(*arguments, host=host, timeout_s=timeout_s, interruptible=interruptible)
    if answer.returncode != 0:
        lines = [line for line in (answer.stdout + answer.stderr).splitlines() if line.strip()]
        raise HarnessError(f"docker {' '.join(arguments[:2])}: {lines[-1] if lines else 'failed without a word'}")
    return answer.stdout


def run(
    *arguments: str, host: str | None = None, timeout_s: float = _TIMEOUT_S, interruptible: bool = False
) -> subprocess.CompletedProcess[str]:
    """A Docker command that has ended, however. ``interruptible``: whether a terminal's Ctrl-C ends it too, which else
    is the harness's to answer. Raises HarnessError when it cannot be run or does not end.
    """
    try:
        return subprocess.run(
            [_PROGRAM, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            env={**os.environ, **({"DOCKER_HOST": host} if host else {})},
            timeout=timeout_s,
            check=False,
            start_new_session=not interruptible,
        )
    except OSError as error:
        raise HarnessError(f"cannot run docker: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise HarnessError(f"docker {' '.join(arguments[:2])}: no end within {timeout_s:g} s") from error
