"""The real servers a stack names, found on this machine's PATH."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping

from harness.errors import HarnessError

# Debian and Ubuntu package upstream's programs under other names.
_PACKAGED_AS = {"alertmanager": "prometheus-alertmanager", "node_exporter": "prometheus-node-exporter"}
# Official images start these programs when a container names no command.
_IMAGE_PROGRAMS = {
    "prometheus": "prometheus",
    "alertmanager": "alertmanager",
    "node-exporter": "node_exporter",
}
_DEBIAN_PACKAGES = {
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "alertmanager": "prometheus-alertmanager",
    "amtool": "prometheus-alertmanager",
    "node_exporter": "prometheus-node-exporter",
    "bwrap": "bubblewrap",
}
# What every stack needs here; what its own containers name beside that, it brings or does without.
PROGRAMS = ("bwrap", "prometheus", "alertmanager")
_VERSION_TIMEOUT_S = 10.0


def find_program(name: str) -> str | None:
    """The absolute path of a program under its upstream or its distribution's name; None when it is not there."""
    return shutil.which(name) or shutil.which(_PACKAGED_AS.get(name, name))


def require_programs(names: Iterable[str], *, otherwise: str = "") -> Mapping[str, str]:
    """Each program's absolute path.

    Raises HarnessError naming all that are missing and the packages they are in; ``otherwise`` ends its message.
    """
    found = {name: find_program(name) for name in names}
    missing = sorted(name for name, path in found.items() if path is None)
    if missing:
        packages = sorted({_DEBIAN_PACKAGES.get(name, name) for name in missing})
        raise HarnessError(
            f"the local environment needs {', '.join(missing)} on PATH; "
            f"`make setup` installs them, or: apt-get install {' '.join(packages)}{otherwise}"
        )
    return {name: path for name, path in found.items() if path is not None}


def image_program(image: str) -> str | None:
    """The program an official image starts by itself, by the image's last path component; None for any other image."""
    return _IMAGE_PROGRAMS.get(re.split(r"[:@]", image.rsplit("/", 1)[-1])[0])


def program_version(path: str) -> str:
    """The version a program reports of itself, or ``unknown``."""
    try:
        answer = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=_VERSION_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    found = re.search(r"\d+\.\d+(?:\.\d+)?(?:[+~.-][\w.+~-]+)?", answer.stdout + answer.stderr)
    return found.group() if found else "unknown"
