"""Alertmanager matchers: between their text, the custom resource's fields and ``Matcher``."""

from __future__ import annotations

import re

from harness.spec import Matcher
from harness.stack.alertmanager_manifests import MatcherFields

# Source: alertmanager/pkg/labels/parse.go of 0.25: a value is bare, or in double quotes with \" \\ \n inside.
_MATCHER = re.compile(
    r'\s*(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)\s*(?P<op>=~|!~|!=|=)\s*(?:"(?P<quoted>(?:\\.|[^"\\])*)"|(?P<bare>[^"{}]*?))\s*'
)
_ESCAPES = {"\\n": "\n", '\\"': '"', "\\\\": "\\"}


def parse_matcher(text: str) -> Matcher:
    """The matcher a text such as ``severity=~"critical|page"`` stands for.

    Raises ValueError when it is none, also for an invalid regular expression.
    """
    found = _MATCHER.fullmatch(text)
    if found is None:
        raise ValueError(f'{text!r} is no matcher such as severity="critical"')
    quoted = found["quoted"]
    value = found["bare"] if quoted is None else re.sub(r"\\.", lambda m: _ESCAPES.get(m[0], m[0]), quoted)
    return checked(Matcher(found["name"], found["op"], value))


def parse_matchers(text: str) -> tuple[Matcher, ...]:
    """The matchers of one line, which may hold several: ``{a="b", c!="d"}``. Raises ValueError."""
    inner = text.strip()
    if inner.startswith("{") and inner.endswith("}"):
        inner = inner[1:-1]
    parts = re.findall(r'(?:"(?:\\.|[^"\\])*"|[^,"])+', inner)
    return tuple(parse_matcher(part) for part in parts if part.strip())


def write_matcher(matcher: Matcher) -> str:
    """The matcher as Alertmanager reads it, the value always quoted."""
    value = matcher.value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'{matcher.name}{matcher.op}"{value}"'


def matcher_of(fields: MatcherFields) -> Matcher:
    """A custom resource's matcher; without ``matchType`` it compares, or with ``regex: true`` matches a
    pattern.
    """
    operator = fields.match_type or ("=~" if fields.regex else "=")
    return checked(Matcher(fields.name, operator, fields.value))


def checked(matcher: Matcher) -> Matcher:
    """The matcher itself. Raises ValueError when its pattern is no regular expression."""
    if matcher.op in ("=~", "!~"):
        try:
            re.compile(matcher.value)
        except re.error as error:
            raise ValueError(f"{matcher.value!r} is no regular expression: {error}") from error
    return matcher
