"""Image references taken apart, and the templates that make others of them.

The grammar is that of the distribution project: ``[registry[:port]/]path[:tag][@digest]``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_HOST = re.compile(r"(?:\[[0-9a-fA-F:]+\]|[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?)(?::[0-9]{1,5})?")
_NAME = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}")
_MAX_NAME = 255
_TAG_SLOT = ":{tag}"
_NAME_SLOT = "{name}"
_EXAMPLE = "registry.example:5000/team/app:1.0"


@dataclass(frozen=True, slots=True)
class ImageReference:
    """An image's name in its parts as written; None (``registry``: empty) where it states none."""

    registry: str
    name: str
    tag: str | None
    digest: str | None

    @property
    def repository(self) -> str:
        """What two references to the same repository share: Docker Hub is where one without registry leads."""
        registry = "docker.io" if self.registry in ("", "index.docker.io") else self.registry
        official = registry == "docker.io" and "/" not in self.name
        return f"{registry}/{'library/' if official else ''}{self.name}"

    @property
    def qualified(self) -> str:
        """Its name as containerd has it, with the registry and the tag that go without saying."""
        return f"{self.repository}@{self.digest}" if self.digest else f"{self.repository}:{self.tag or 'latest'}"


def parse_reference(text: str) -> ImageReference:
    """Raises ValueError, in the words of a mistake, for what no container runtime would take."""
    rest, at, digest = text.partition("@")
    # A port's colon stands before the last slash, a tag's colon after it.
    directory, slash, last = rest.rpartition("/")
    last, colon, tag = last.partition(":")
    first, between, inner = f"{directory}{slash}{last}".partition("/")
    has_registry = bool(between) and ("." in first or ":" in first or first == "localhost")
    registry, name = (first, inner) if has_registry else ("", f"{first}{between}{inner}")
    well_formed = (
        (not has_registry or _HOST.fullmatch(registry))
        and (_NAME.fullmatch(name) and len(name) <= _MAX_NAME)
        and (not colon or _TAG.fullmatch(tag))
        and (not at or _DIGEST.fullmatch(digest))
    )
    if not well_formed:
        raise ValueError(f"got {text!r}, need an image such as {_EXAMPLE}")
    return ImageReference(registry, name, tag if colon else None, digest if at else None)


def check_template(template: str, *, mirror: bool = False) -> None:
    """Raises ValueError unless the template gives a reference for every image asked for.

    ``{tag}`` may stand as the tag, nowhere else; a ``mirror``, which stands for many images, needs it and ``{name}``.
    """
    bare = template.removesuffix(_TAG_SLOT)
    if mirror and (bare == template or bare.count(_NAME_SLOT) != 1):
        raise ValueError(f"got {template!r}, need {{name}} and {{tag}} in it: registry.example:5000/{{name}}:{{tag}}")
    if mirror:
        bare = bare.replace(_NAME_SLOT, "team/app")
    try:
        parsed = parse_reference(bare)
    except ValueError as error:
        raise ValueError(f"got {template!r}, need an image such as registry.example:5000/app:{{tag}}") from error
    if bare != template and not mirror and (parsed.tag or parsed.digest):
        raise ValueError(f"got {template!r}, need one tag: {{tag}} or one of your own")


def fill_template(template: str, asked: ImageReference) -> str:
    """The reference a template gives for the image asked for.

    ``{name}`` is its path without registry. ``{tag}`` is its tag, and ``latest`` without one; there, a digest asked for
    is kept, since it says which content is meant wherever that lies.
    """
    bare = template.removesuffix(_TAG_SLOT)
    filled = bare.replace(_NAME_SLOT, asked.name)
    if bare == template:
        return filled
    if asked.digest is None:
        return f"{filled}:{asked.tag or 'latest'}"
    return f"{filled}{f':{asked.tag}' if asked.tag else ''}@{asked.digest}"
