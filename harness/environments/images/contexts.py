"""What a built image consists of: its Dockerfile and the files that it copies; their names follow from their content.

Paths in a Dockerfile's COPY instructions are relative to the checkout, so plain ``docker build -f
fixtures/images/workloads/Dockerfile .`` works there too.
"""

from __future__ import annotations

import ast
import fnmatch
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from harness.errors import HarnessError

IMAGES = Path("fixtures", "images")
_PREFIX = "harness"
_DIGITS = 12
# Options of pip that say where packages come from; what else is configured is about this machine.
_INDEX_OPTIONS = (
    "index-url",
    "extra-index-url",
    "find-links",
    "no-index",
    "trusted-host",
    "proxy",
    "timeout",
    "retries",
)
_PIP_TIMEOUT_S = 30.0
_CERTIFICATES = "/build/ca.crt"  # where the Dockerfile puts ca.crt


def image_name(build: Path, base: str) -> str:
    """The name of the image that a Dockerfile's directory gives on a base: equal content, equal name.

    The base counts by its name, not by what that name stands for today. Raises HarnessError when something that is
    copied is missing.
    """
    return _name(build, _files(build), base)


def assemble_context(build: Path, base: str, into: Path) -> str:
    """Copy what the image is built from into an empty directory; the name of what was really copied.

    Where the Dockerfile asks for it, the settings by which this machine's pip finds packages are put beside it. Modes
    are made uniform: a checkout that only its owner can read still gives an image that others can run.
    """
    files = _files(build)
    for relative, source in files.items():
        target = into / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        target.chmod(0o755 if _executable(source) else 0o644)
    for directory in [path for path in into.rglob("*") if path.is_dir()]:
        directory.chmod(0o755)
    name = _name(build, {relative: into / relative for relative in files}, base)
    if any(fnmatch.fnmatchcase("pip.conf", pattern) for pattern in _copied(build)):
        _write_index_settings(into)
    return name


def _name(build: Path, files: Mapping[str, Path], base: str) -> str:
    digest = hashlib.sha256(f"{base}\0".encode())
    for relative, path in sorted(files.items()):
        content = path.read_bytes()
        digest.update(f"{relative}\0{_executable(path):d}\0{len(content)}\0".encode())
        digest.update(content)
    return f"{_PREFIX}/{build.name}:{digest.hexdigest()[:_DIGITS]}"


def _executable(path: Path) -> bool:
    return bool(path.stat().st_mode & 0o100)


def _files(build: Path) -> dict[str, Path]:
    """Every file of the context, by its path in there."""
    checkout = build.resolve().parents[len(IMAGES.parts)]
    files = {"Dockerfile": build / "Dockerfile"}
    for pattern in _copied(build):
        found = sorted(checkout.glob(pattern))
        if not found and not any(character in pattern for character in "*?["):
            raise HarnessError(f"{build / 'Dockerfile'}: copies {pattern}, which is not in {checkout}")
        for path in found:
            files |= {each.relative_to(checkout).as_posix(): each for each in _files_below(path)}
    return files


def _copied(build: Path) -> Iterator[str]:
    """The sources of the Dockerfile's COPY instructions; what comes from another stage is none."""
    text = (build / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    for line in text.splitlines():
        instruction, _, rest = line.strip().partition(" ")
        if instruction.upper() != "COPY" or "--from=" in rest:
            continue
        yield from [word.removesuffix("/") for word in shlex.split(rest) if not word.startswith("--")][:-1]


def _files_below(path: Path) -> Iterator[Path]:
    """The file itself, or the files of a directory but for bytecode and hidden ones, which editors and tools leave."""
    if path.is_file():
        yield path
        return
    for directory, names, files in os.walk(path):
        names[:] = [name for name in names if not name.startswith(".") and name != "__pycache__"]
        yield from (Path(directory, name) for name in files if not name.startswith(".") and not name.endswith(".pyc"))


def _write_index_settings(into: Path) -> None:
    """Hand in how this machine's pip finds packages: its index, and the authorities it trusts."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "config", "list"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=_PIP_TIMEOUT_S, check=False)
        listing = answer.stdout if answer.returncode == 0 else ""
    except (OSError, subprocess.TimeoutExpired):  # without pip here there are no settings of its own either
        listing = ""
    settings = index_settings(listing)
    trusted = settings.pop("cert", None) or os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("SSL_CERT_FILE")
    if trusted and Path(trusted).is_file():
        shutil.copyfile(trusted, into / "ca.crt")
        settings["cert"] = _CERTIFICATES
    if settings:
        lines = [f"{option} = {value}" for option, value in settings.items()]
        (into / "pip.conf").write_text("\n".join(["[global]", *lines, ""]), encoding="utf-8")


def index_settings(listing: str) -> dict[str, str]:
    """The options about packages' origin, and ``cert``, of what ``pip config list`` printed.

    The environment goes before the section of ``pip install``, and that before the global one. Directories and
    ``file:`` addresses are left out: a build does not see this machine's files.
    """
    found: dict[str, str] = {}
    sections = ("global", "install", ":env:")
    entries = [line.partition("=") for line in listing.splitlines() if "=" in line]
    for section in sections:
        for key, _, value in entries:
            option = key.removeprefix(f"{section}.").removeprefix("default-")
            if key.startswith(f"{section}.") and option in (*_INDEX_OPTIONS, "cert"):
                found[option] = str(ast.literal_eval(value))
    for option in ("index-url", "extra-index-url", "find-links"):
        remote = [each for each in found.get(option, "").split() if each.startswith(("http://", "https://"))]
        found[option] = " ".join(remote)
    return {option: value for option, value in found.items() if value}
