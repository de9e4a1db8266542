"""Which parts of a stack run as containers instead of this machine's programs, and the images they run.

``prometheus`` and ``alertmanager`` do where their program is not on PATH and Docker answers. ``HARNESS_CONTAINERS``
names parts that have to, whatever is on PATH (``HARNESS_CONTAINERS=prometheus,alertmanager``): so one machine can try
other versions than its own. Which image it is says the same mapping that a cluster's pods follow (``--images``).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from harness.environments.images import ResolvedImage, build_images, load_mapping
from harness.environments.local.docker_daemon import Docker, DockerUnusable, ask, find_docker, run
from harness.environments.local.plan import part_of
from harness.environments.local.programs import PROGRAMS, find_program, require_programs
from harness.errors import HarnessError, InputError, Mistake
from harness.stack.objects import Workload

FORCED_VARIABLE = "HARNESS_CONTAINERS"
PARTS = ("prometheus", "alertmanager")
_PULL_TIMEOUT_S = 900.0


@dataclass(frozen=True, slots=True)
class Parts:
    """How this machine runs what every stack needs: ``programs`` by their paths, ``contained`` by ``docker``."""

    programs: Mapping[str, str]
    contained: tuple[str, ...]
    docker: Docker | None

    def contains(self, workload: Workload) -> bool:
        """Whether a workload's pods are containers here."""
        return part_of(workload) in self.contained


def choose_parts(forced: str | None = None) -> Parts:
    """Programs on PATH, containers for what is not or what ``forced`` names (None: the environment's variable).

    Raises InputError for a part that is none, HarnessError when neither the program nor Docker is there.
    """
    named = _named(os.environ.get(FORCED_VARIABLE, "") if forced is None else forced)
    contained = tuple(part for part in PARTS if part in named or find_program(part) is None)
    outside = [name for name in PROGRAMS if name not in contained]
    if not contained:
        return Parts(require_programs(outside), (), None)
    try:
        docker = find_docker()
    except DockerUnusable as error:
        if not named:
            require_programs(PROGRAMS, otherwise=f". Or run them as containers, which needs Docker: {error}")
        raise HarnessError(f"{FORCED_VARIABLE}={','.join(named)} needs Docker: {error}") from error
    return Parts(require_programs(outside), contained, docker)


def _named(text: str) -> tuple[str, ...]:
    named = tuple(word.strip() for word in text.split(",") if word.strip())
    wrong = [word for word in named if word not in PARTS]
    if wrong:
        problem = f"got {', '.join(map(repr, wrong))}, need some of {', '.join(PARTS)}, separated by commas"
        raise InputError([Mistake(FORCED_VARIABLE, "", problem)])
    return named


def resolve_parts(parts: Parts, workloads: Iterable[Workload], images: str) -> dict[str, ResolvedImage]:
    """The images of what runs as containers, by how their manifests name them.

    Raises InputError for a mapping that is wrong or does not have one.
    """
    contained = [workload for workload in workloads if parts.contains(workload)]
    return load_mapping(images).resolve_all(contained) if contained else {}


def have_images(
    resolved: Iterable[ResolvedImage], docker: Docker, *, progress: Callable[[str], None]
) -> dict[str, str]:
    """Every image is in Docker: built, pulled, or there already. The result is its identity there, by its reference.

    Raises HarnessError when one cannot be had.
    """
    wanted = list(dict.fromkeys(resolved))
    build_images(wanted, progress=progress)
    for image in wanted:
        if image.build is None and _identity(image.reference, docker) is None:
            if not image.pull:
                raise HarnessError(f"image {image.reference} is not in Docker, and nothing is pulled (pull: never)")
            progress(f"image {image.reference} is being pulled")
            try:
                pull = ("pull", "--quiet", image.reference)
                ask(*pull, host=docker.host, timeout_s=_PULL_TIMEOUT_S, interruptible=True)
            except HarnessError as error:
                raise HarnessError(
                    f"image {image.reference}: {error}; `--images offline` builds it from Debian's packages, a mapping "
                    "file names another"
                ) from error
    return {image.reference: _identity(image.reference, docker) or "unknown" for image in wanted}


def _identity(reference: str, docker: Docker) -> str | None:
    """What content the reference stands for; None when it is not in Docker."""
    answer = run("image", "inspect", "--format", "{{.Id}}", reference, host=docker.host)
    return answer.stdout.strip() if answer.returncode == 0 else None
