"""Which image a pod really runs where its manifest names one: a file says it, shipped or a site's own.

    images:
      prom/prometheus: {image: "registry.example:5000/prometheus:{tag}"}   # {tag}: the one asked for
      prom/alertmanager:v0.25.0: {image: "registry.example:5000/am:lts"}   # an exact match goes first
      model-serving/workloads: {build: workloads}                          # fixtures/images/workloads/Dockerfile
    mirror: {image: "registry.example:5000/{name}:{tag}"}                  # what `images` does not name
    base: registry.example:5000/debian:bookworm-slim                       # what built images stand on
    pull: never                                                            # an image not named is a mistake

All keys may be absent. Without ``mirror`` and ``pull``, nodes pull as manifests say what ``images`` does not name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, model_validator

from harness.environments.images.contexts import IMAGES, image_name
from harness.environments.images.references import check_template, fill_template, parse_reference
from harness.errors import InputError, Mistake
from harness.stack.documents import describe, parse_yaml
from harness.stack.objects import Workload
from harness.stack.places import Place
from harness.stack.schema import mistakes_of

BASE = "debian:bookworm-slim"
SHIPPED = ("official", "offline")
_CHECKOUT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True, slots=True)
class ResolvedImage:
    """What a container really runs.

    ``reference``: what the pod must name. ``build``: the directory whose Dockerfile gives it, on ``base``; None for one
    that is had as it is. ``pull``: whether a node may pull it; if not, it has to be on the node.
    """

    reference: str
    build: Path | None
    pull: bool
    base: str = BASE


@dataclass(frozen=True, slots=True)
class ImageMapping:
    """A mapping as its file states it. ``images`` goes by repository and tag, None for every tag; its values are a
    directory with a Dockerfile, or a template.
    """

    file: Path
    images: Mapping[tuple[str, str | None], Path | str]
    mirror: str | None
    pull: bool
    base: str

    def resolve(self, image: str, *, workload: str = "") -> ResolvedImage:
        """Raises InputError for what is no image reference, and for an image not named where nothing is pulled;
        ``workload`` says in it who asks. A build is named by what it would be built of now.
        """
        whose = f"{workload}: " if workload else ""
        try:
            asked = parse_reference(image)
        except ValueError as error:
            raise InputError([Mistake(self.file, "", f"{whose}image: {error}")]) from error
        tag = asked.tag or (None if asked.digest else "latest")
        source = self.images.get((asked.repository, tag), self.images.get((asked.repository, None)))
        if isinstance(source, Path):
            return ResolvedImage(image_name(source, self.base), source, pull=False, base=self.base)
        template = source or self.mirror
        if template is not None:
            return ResolvedImage(fill_template(template, asked), None, pull=self.pull)
        if not self.pull:
            problem = f"{whose}runs {image}, which is not named here, and nothing is pulled (pull: never)"
            raise InputError([Mistake(self.file, "images", problem)])
        return ResolvedImage(image, None, pull=True)

    def resolve_all(self, workloads: Iterable[Workload]) -> dict[str, ResolvedImage]:
        """Every image of these workloads, by how their manifests name it. Raises InputError with every mistake."""
        users: dict[str, list[str]] = {}
        for workload in workloads:
            title = f"{workload.kind} {workload.namespace}/{workload.name}"
            for image in dict.fromkeys(each.image for each in (*workload.init_containers, *workload.containers)):
                users.setdefault(image, []).append(title)
        found: dict[str, ResolvedImage] = {}
        mistakes: list[Mistake] = []
        for image, titles in users.items():
            try:
                found[image] = self.resolve(image, workload=", ".join(titles))
            except InputError as error:
                mistakes += error.mistakes
        if mistakes:
            raise InputError(mistakes)
        return found


def _template(text: str) -> str:
    check_template(text)
    return text


def _mirror(text: str) -> str:
    check_template(text, mirror=True)
    return text


def _reference(text: str) -> str:
    parse_reference(text)
    return text


def _build(name: str, info: ValidationInfo) -> str:
    images: Path = info.context["images"] if info.context else IMAGES
    if re.fullmatch("[a-z0-9]+(-[a-z0-9]+)*", name) and (images / name / "Dockerfile").is_file():
        return name
    there = ", ".join(sorted(path.parent.name for path in images.glob("*/Dockerfile")))
    if not there:
        raise ValueError(f"got {name!r}, but {images} has no Dockerfiles: building needs the harness's checkout")
    raise ValueError(f"got {name!r}, need a directory of {images} with a Dockerfile: {there}")


class _Fields(BaseModel):
    # Unknown keys are told apart, with the known ones beside them.
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


class _Source(_Fields):
    build: Annotated[str, AfterValidator(_build)] | None = None
    image: Annotated[str, AfterValidator(_template)] | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.build is None) == (self.image is None):
            raise ValueError(f"has {'neither' if self.build is None else 'both'}, need one of build and image")
        return self


class _Mirror(_Fields):
    image: Annotated[str, AfterValidator(_mirror)]


class _File(_Fields):
    images: dict[str, _Source] = Field(default_factory=dict)
    mirror: _Mirror | None = None
    pull: Literal["never"] | None = None
    base: Annotated[str, AfterValidator(_reference)] = BASE


def load_mapping(name_or_path: str, *, base: str | None = None, checkout: Path = _CHECKOUT) -> ImageMapping:
    """The mapping shipped as ``official`` or ``offline``, or that of a file. ``base`` goes before the file's own.

    Raises InputError with every mistake of the file.
    """
    shipped = name_or_path in SHIPPED
    path = checkout / IMAGES / f"{name_or_path}.yaml" if shipped else Path(name_or_path)
    document = _read(path, shipped)
    if base is not None:
        document["base"] = base
    place = Place(path)
    mistakes = _unknown_keys(document, place)
    keys = _keys(document, place.at("images"), mistakes)
    try:
        file = _File.model_validate(document, context={"images": checkout / IMAGES})
    except ValidationError as error:
        raise InputError([*mistakes, *mistakes_of(error, place)]) from error
    if mistakes:
        raise InputError(mistakes)
    images = {
        keys[name]: checkout / IMAGES / source.build if source.build else source.image or ""
        for name, source in file.images.items()
    }
    mirror = file.mirror.image if file.mirror else None
    return ImageMapping(path, images, mirror, pull=file.pull is None, base=file.base)


def _read(path: Path, shipped: bool) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        need = (
            "is not there: the harness is not installed from its checkout, which holds the shipped mappings and "
            "Dockerfiles; give the path of a mapping of your own"
            if shipped
            else f"is not there; need {' or '.join(SHIPPED)}, or the path of an image mapping"
        )
        raise InputError([Mistake(path, "", need)]) from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError([Mistake(path, "", f"cannot be read: {error}")]) from error
    mistakes: list[Mistake] = []
    document = parse_yaml(text, Place(path), mistakes)
    if not mistakes and not isinstance(document, dict):
        mistakes.append(Mistake(path, "", f"got {describe(document)}, need a mapping with the key images"))
    if mistakes:
        raise InputError(mistakes)
    return dict(document)


def _unknown_keys(document: Mapping[str, Any], place: Place) -> list[Mistake]:
    """Keys that mean nothing here: mistyped, they would be passed over in silence."""
    parts: list[tuple[Place, object, type[BaseModel]]] = [
        (place, document, _File),
        (place.at("mirror"), document.get("mirror"), _Mirror),
        *((place.at("images", name), each, _Source) for name, each in _items(document.get("images"))),
    ]
    return [
        where.at(key).mistake(f"is no key here; there are: {', '.join(model.model_fields)}")
        for where, value, model in parts
        for key, _ in _items(value)
        if key not in model.model_fields
    ]


def _keys(document: Mapping[str, Any], place: Place, mistakes: list[Mistake]) -> dict[str, tuple[str, str | None]]:
    """The repository and tag that each key of ``images`` means."""
    found: dict[str, tuple[str, str | None]] = {}
    for name, _ in _items(document.get("images")):
        try:
            key = parse_reference(name)
        except ValueError as error:
            mistakes.append(place.at(name).mistake(str(error)))
            continue
        if key.digest is not None:
            mistakes.append(place.at(name).mistake("has a digest, need an image without or with a tag"))
        elif (key.repository, key.tag) in found.values():
            mistakes.append(place.at(name).mistake("names an image that stands above in another spelling"))
        found[name] = (key.repository, key.tag)
    return found


def _items(value: object) -> Iterable[tuple[str, Any]]:
    return value.items() if isinstance(value, dict) else ()
