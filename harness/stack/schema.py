"""What the fields of manifests may hold: types checked at the edge, every mistake told in the author's
words.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails

from harness.clock import parse_duration
from harness.errors import Mistake
from harness.stack.documents import describe
from harness.stack.places import Place
from harness.stack.quantities import parse_quantity


class Fields(BaseModel):
    """A part of a manifest. Keys that are not named here are allowed and kept; wrong types are not."""

    model_config = ConfigDict(strict=True, extra="allow", alias_generator=to_camel, populate_by_name=True, frozen=True)


def _duration(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"got {describe(value)}, need a duration such as 30s or 5m")
    parse_duration(value)
    return value


def _int_or_string(value: object) -> int | str:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(f"got {describe(value)}, need a number or a name")
    return value


def _quantity(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"got {describe(value)}, need a quantity such as 64Mi, 2 or 500m")
    if parse_quantity(value) < 0:
        raise ValueError(f"got {value!r}, need a quantity of 0 or more")
    return str(value)


def _name(text: str) -> str:
    if not text:
        raise ValueError("is empty, need a name")
    return text


def _object_name(text: str) -> str:
    """What Kubernetes asks of every name at least: it becomes a path's segment, in its API as well as on a node."""
    if text in ("", ".", "..") or len(text) > 253 or not all(each.isprintable() and each not in "/%" for each in text):
        raise ValueError(f"got {describe(text)}, need a name: no '/', no '%', no control characters, not '..'")
    return text


def _key(text: str) -> str:
    if not re.fullmatch(r"[-._a-zA-Z0-9]+", text) or text in (".", ".."):
        raise ValueError(f"got {describe(text)}, need a key of letters, digits, '-', '_' or '.'")
    return text


def _inner_path(text: str) -> str:
    if text.startswith("/") or ".." in text.split("/"):
        raise ValueError(f"got {describe(text)}, need a relative path that does not lead out")
    return text


Duration = Annotated[str, PlainValidator(_duration)]
IntOrString = Annotated[int | str, PlainValidator(_int_or_string)]
Quantity = Annotated[str, PlainValidator(_quantity)]
Name = Annotated[str, AfterValidator(_name)]
ObjectName = Annotated[str, AfterValidator(_object_name)]
Key = Annotated[str, AfterValidator(_key)]
InnerPath = Annotated[str, AfterValidator(_inner_path)]
Labels = dict[str, str]


class Metadata(Fields):
    """An object's metadata; a namespaced object that names no namespace goes to ``default``, as kubectl
    sends it.
    """

    name: ObjectName
    namespace: ObjectName = "default"
    labels: Labels = Field(default_factory=dict)
    annotations: Labels = Field(default_factory=dict)


class Requirement(Fields):
    """One line of ``matchExpressions``."""

    key: Name
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: list[str] = Field(default_factory=list)


class LabelSelector(Fields):
    """A label selector; without any line it selects everything."""

    match_labels: Labels = Field(default_factory=dict)
    match_expressions: list[Requirement] = Field(default_factory=list)

    def selects(self, labels: Labels) -> bool:
        """Whether labels satisfy every line; ``NotIn`` and ``DoesNotExist`` also hold where the label is
        absent.
        """
        if any(labels.get(key) != value for key, value in self.match_labels.items()):
            return False
        return all(_satisfies(requirement, labels) for requirement in self.match_expressions)


def _satisfies(requirement: Requirement, labels: Labels) -> bool:
    present = requirement.key in labels
    if requirement.operator == "Exists":
        return present
    if requirement.operator == "DoesNotExist":
        return not present
    listed = present and labels[requirement.key] in requirement.values
    return listed is (requirement.operator == "In")


class Reference(Fields):
    """The name of another object in the same namespace."""

    name: Name
    optional: bool = False


class KeyReference(Reference):
    """A key of a ConfigMap or Secret."""

    key: Name


class Manifest(Fields):
    """Any Kubernetes object."""

    kind: str
    metadata: Metadata


def mistakes_of(error: ValidationError, place: Place) -> list[Mistake]:
    """One mistake for each value that does not fit, at its key path."""
    return [place.at(*details["loc"]).mistake(_problem(details)) for details in error.errors()]


_NEEDED = {
    "string_type": "a string",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}


def _problem(details: ErrorDetails) -> str:
    kind = details["type"]
    context: dict[str, Any] = details.get("ctx", {})
    if kind == "missing":
        return "is missing"
    if kind == "value_error":
        return str(context["error"])
    if kind == "literal_error":
        return f"got {describe(details['input'])}, need {context['expected']}"
    needed = _NEEDED.get(kind)
    if needed is None:
        return f"got {describe(details['input'])}: {details['msg']}"
    hint = "; put it in quotes" if kind == "string_type" and isinstance(details["input"], int | float) else ""
    return f"got {describe(details['input'])}, need {needed}{hint}"
