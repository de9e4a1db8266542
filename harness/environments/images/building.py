"""Builds with Docker the images that no registry has."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from harness.environments.images.contexts import assemble_context
from harness.environments.images.mapping import ResolvedImage
from harness.errors import HarnessError

_ASK_TIMEOUT_S = 30.0
_BUILD_TIMEOUT_S = 900.0
_LAST_LINES = 20
# By which a user finds what was built, to be rid of it.
_LABEL = "harness.image=built"
# Docker takes these of the command line's environment without their values showing in it, nor in the image.
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
# BuildKit: plain lines instead of a terminal's drawing, and one image instead of a list with its attestation, which
# kind cannot load. The legacy builder knows neither.
_BUILDKIT = {"BUILDKIT_PROGRESS": "plain", "BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}
_COLOURS = re.compile("\x1b\\[[0-9;]*m")


def build_images(resolved: Iterable[ResolvedImage], *, progress: Callable[[str], None]) -> tuple[str, ...]:
    """Build with Docker what is to be built and is not there yet; the names of all that are to be built, each once.

    Names follow from content, so an image that is there is the right one. Raises HarnessError without Docker, and with
    a build's last lines when it fails.
    """
    wanted = {each.reference: (each.build, each.base) for each in resolved if each.build is not None}
    if wanted:
        _require_docker()
    for number, (reference, (build, base)) in enumerate(wanted.items(), start=1):
        count = f"image {number} of {len(wanted)}: {reference}"
        if _is_there(reference):
            progress(f"{count} is built already")
            continue
        progress(f"{count} is being built")
        began_s = time.monotonic()
        _build(reference, build, base)
        progress(f"{count} is built, in {time.monotonic() - began_s:.0f} s")
    return tuple(wanted)


def _require_docker() -> None:
    answer = _docker("version", "--format", "{{.Server.Version}}", timeout_s=_ASK_TIMEOUT_S)
    if answer.returncode != 0:
        raise HarnessError(
            f"docker version: {_last_lines(answer.stdout, 1) or 'no answer'}; images are built by Docker's daemon: "
            "start it (systemctl start docker), and let this user talk to it (usermod -aG docker)"
        )


def _is_there(reference: str) -> bool:
    return _docker("image", "inspect", reference, timeout_s=_ASK_TIMEOUT_S).returncode == 0


def _build(reference: str, build: Path, base: str) -> None:
    with tempfile.TemporaryDirectory(prefix="harness-image-") as directory:
        context = Path(directory)
        assembled = assemble_context(build, base, context)
        if assembled != reference:
            raise HarnessError(f"{reference}: what it copies changed since it got this name; run again")
        proxies = [argument for name in _PROXIES if name in os.environ for argument in ("--build-arg", name)]
        settings = ["--tag", reference, "--label", _LABEL, "--build-arg", f"BASE={base}", *proxies]
        answer = _docker("build", *settings, str(context), timeout_s=_BUILD_TIMEOUT_S, more=_BUILDKIT)
    if answer.returncode == 0 and _is_there(reference):
        return
    problem = f"{reference}: docker build of {build} failed with status {answer.returncode}"
    if not _is_there(base):
        problem += (
            f"; its base {base} is not in Docker: where it cannot be pulled, docker load it, or name another with "
            "`base:` in the image mapping"
        )
    raise HarnessError(f"{problem}; its last lines:\n{_last_lines(answer.stdout, _LAST_LINES)}")


def _docker(
    *arguments: str, timeout_s: float, more: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Docker's answer, both streams in ``stdout``. A terminal's Ctrl-C ends it at once: a build leaves nothing behind.

    Raises HarnessError when it is not there or takes too long.
    """
    try:
        return subprocess.run(
            ["docker", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            env={**os.environ, **(more or {})},
            timeout=timeout_s,
            check=False,
        )
    except OSError as error:
        raise HarnessError(
            f"cannot run docker ({error.strerror}); building images needs it on PATH (apt-get install docker.io), or a "
            "mapping whose images a registry has"
        ) from error
    except subprocess.TimeoutExpired as error:
        output = error.stdout or b""
        text = output.decode(errors="replace") if isinstance(output, bytes) else output
        command = " ".join(["docker", *arguments])
        raise HarnessError(f"{command}: no end within {timeout_s:g} s; {_last_lines(text, _LAST_LINES)}") from error


def _last_lines(output: str, count: int) -> str:
    lines = [line for line in _COLOURS.sub("", output).splitlines() if line.strip()]
    return "\n".join(lines[-count:])
