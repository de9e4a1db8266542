"""YAML and JSON as a cluster's API server reads them: a key stands once, and only what is a number is one."""

from __future__ import annotations

import json
import re
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import yaml


@dataclass(frozen=True, slots=True)
class Loaded:
    """The values of a text's documents, in their order, and what is wrong with it, with lines where they are known."""

    values: list[Any]
    problems: list[str]


def load_json(text: str) -> Loaded:
    """The one value of a JSON text; none of an empty one."""
    problems: list[str] = []

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in found]
        problems.extend(
            f"the key {key!r} stands {keys.count(key)} times in one object"
            for key in sorted({key for key in keys if keys.count(key) > 1})
        )
        return dict(found)

    if not text.strip():
        return Loaded([], [])
    try:
        return Loaded([json.loads(text, object_pairs_hook=pairs)], problems)
    except json.JSONDecodeError as error:
        problems.append(f"line {error.lineno}: is not JSON: {error.msg}")
    except (RecursionError, ValueError) as error:
        problems.append(f"is not JSON a cluster would take: {error}")
    return Loaded([], problems)


def load_yaml(text: str) -> Loaded:
    """The values of all documents of a YAML text, up to the first that is wrong."""
    values: list[Any] = []
    problems: list[str] = []
    try:
        loader = _OnceLoader(text)
    except yaml.YAMLError as error:  # a character that no YAML holds
        return Loaded([], [f"is not YAML: {' '.join(str(error).split())}"])
    loader.duplicates = []
    try:
        while loader.check_data():
            values.append(loader.get_data())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f"line {mark.line + 1}: " if mark else ""
        problems.append(f"{line}is not YAML: {error.problem or error.context}")
    except yaml.YAMLError as error:
        problems.append(f"is not YAML: {str(error).splitlines()[0]}")
    except (RecursionError, ValueError) as error:
        problems.append(f"is not YAML a cluster would take: {error}")
    except (LookupError, AttributeError, TypeError) as error:  # from a value that is not what its tag says
        problems.append(f"is not YAML: a value is not what its tag says ({type(error).__name__}: {error})")
    finally:
        loader.dispose()
    return Loaded(values, [*problems, *loader.duplicates])


class _OnceLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # the C one where it is built
    """Reads YAML as a cluster's API server does: dates and 1:30 are strings, a key may stand only once."""

    duplicates: list[str]

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: dict[Hashable, int] = {}
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge" or not isinstance(key_node, yaml.ScalarNode):
                continue
            line = key_node.start_mark.line + 1
            if key_node.value in seen:
                first = seen[key_node.value]
                self.duplicates.append(f"line {line}: the key {key_node.value!r} stands already on line {first}")
            seen.setdefault(key_node.value, line)
        mapping: dict[Hashable, Any] = super().construct_mapping(node, deep=deep)
        return mapping


_NUMBERS = {
    "tag:yaml.org,2002:int": re.compile(r"[-+]?(?:0b[01]+|0o?[0-7]+|0|[1-9][0-9]*|0x[0-9a-fA-F]+)$"),
    "tag:yaml.org,2002:float": re.compile(
        r"(?:[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
    ),
}
_OnceLoader.yaml_implicit_resolvers = {
    first: [pair for pair in pairs if pair[0] not in {*_NUMBERS, "tag:yaml.org,2002:timestamp"}]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _tag, _pattern in _NUMBERS.items():
    _OnceLoader.add_implicit_resolver(_tag, _pattern, list("-+.0123456789"))
