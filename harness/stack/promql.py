"""PromQL read for its time: durations compressed, how far back it looks, what it selects and compares."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import promql_parser as ast

from harness.clock import format_duration, parse_duration
from harness.errors import HarnessError

# Known to Prometheus 2 under this name, renamed in 3, whose names the parser knows.
ast.register_extra_functions(
    [
        ast.Function(
            name="holt_winters",
            arg_types=[ast.ValueType.Matrix, ast.ValueType.Scalar, ast.ValueType.Scalar],
            variadic=0,
            return_type=ast.ValueType.Vector,
        )
    ]
)

_TOKEN = re.compile(
    r"""(?P<string>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`)|(?P<comment>\#[^\n]*)
    |(?P<word>[A-Za-z_:][\w:]*)|(?P<number>\d[\w.]*|\.\d[\w.]*)|(?P<space>\s+)|(?P<sign>.)""",
    re.VERBOSE | re.DOTALL,
)
COMPARISONS = frozenset({"==", "!=", ">", "<", ">=", "<="})
SET_OPERATIONS = frozenset({"and", "or", "unless"})
_COUNTING = frozenset({"changes", "count_over_time", "increase", "resets", "sum_over_time"})


def check_promql(expr: str) -> None:
    """Raises ValueError, with the problem, when the text is no PromQL expression."""
    parse(expr)


def compress_promql(expr: str, time_scale: float) -> str:
    """The expression with every range, subquery step and offset divided by ``time_scale``; all else byte
    for byte.

    Durations are rounded to the millisecond, and none becomes shorter than 1ms. A subquery's default step
    stays the default: it is the evaluation interval, which is compressed itself. A bare number of seconds
    as a duration is written as a duration, since Prometheus 2 knows no other. Raises ValueError when the
    text is no PromQL.
    """
    before = parse(expr)
    pieces: list[str] = []
    depth = 0
    offset_open = False
    for match in _TOKEN.finditer(expr):
        kind, text = match.lastgroup, match.group()
        if depth and kind == "word" and text.startswith(":"):
            # A colon may begin a metric's name; between brackets it sets off the step instead.
            pieces.append(":")
            kind, text = "number", text[1:]
            if not text:
                continue
        if kind == "number" and (depth or offset_open):
            pieces.append(_compressed(text, time_scale))
        else:
            pieces.append(text)
        if kind == "sign":
            depth += {"[": 1, "]": -1}.get(text, 0)
        if kind == "word":
            offset_open = text.lower() == "offset"
        elif kind not in ("space", "comment") and not (kind == "sign" and text in "+-"):
            offset_open = False
    compressed = "".join(pieces)
    if _shape(before, time_scale) != _shape(parse(compressed), 1):
        raise HarnessError(f"compressing {expr!r} by {time_scale:g} gave {compressed!r}, which means something else")
    return compressed


def lookback_s(expr: str) -> float:
    """How far back the expression reads, in seconds: ranges, subqueries and offsets along a branch added
    up, the furthest branch. An instant selector reads at the evaluation itself: 0.
    """
    return max(0.0, _lookback(parse(expr)))


def counts_over_s(expr: str) -> float:
    """For how long the expression goes on counting what has happened: how far back the furthest of its ``changes``,
    ``increase`` and the like reads. 0 without one.

    What happens later is added to what is still in the range; a rate or a maximum does not add up in this way.
    """
    calls = [node for node in nodes(parse(expr)) if isinstance(node, ast.Call) and node.func.name in _COUNTING]
    return max((_lookback(call) for call in calls), default=0.0)


@dataclass(frozen=True, slots=True)
class Selection:
    """What one selector of an expression asks for: a ``metric``, None where it may be any, and the labels that have to
    be ``equal`` to a value.
    """

    metric: str | None
    equal: Mapping[str, str]


def selections_of(expr: str) -> tuple[Selection, ...]:
    """What each selector of the expression asks for, in their order."""
    return tuple(selection(node) for node in nodes(parse(expr)) if isinstance(node, ast.VectorSelector))


def metrics_of(expr: str) -> tuple[str, ...]:
    """The metric names the expression reads, each once, in the order of their first appearance."""
    return tuple(dict.fromkeys(each.metric for each in selections_of(expr) if each.metric is not None))


def selection(node: Any) -> Selection:
    """What a node that is a selector asks for."""
    equal = {m.name: m.value for m in node.matchers.matchers if m.op == ast.MatchOp.Equal}
    named = equal.pop("__name__", None)
    return Selection(node.name or named, equal)


def thresholds(expr: str) -> tuple[float, ...]:
    """The plain numbers the expression compares something with, in their order; none where it compares with none."""
    found = []
    for node in nodes(parse(expr)):
        if isinstance(node, ast.BinaryExpr) and str(node.op) in COMPARISONS:
            sides = [_unwrapped(side) for side in (node.lhs, node.rhs)]
            found += [float(side.val) for side in sides if isinstance(side, ast.NumberLiteral)]
    return tuple(found)


def comparison(expr: str) -> tuple[str, float] | None:
    """What the expression compares with a plain number, as PromQL, and that number; None when it compares with none.

    Of several, joined by ``and``, ``or`` or ``unless``, the first: it is what the rule is about. ``bool`` and the side
    the number stands on make no difference.
    """
    node = _unwrapped(parse(expr))
    while isinstance(node, ast.BinaryExpr) and str(node.op) in SET_OPERATIONS:
        node = _unwrapped(node.lhs)
    if not isinstance(node, ast.BinaryExpr) or str(node.op) not in COMPARISONS:
        return None
    for side, other in ((node.rhs, node.lhs), (node.lhs, node.rhs)):
        limit = _constant(_unwrapped(side))
        if limit is not None:
            return other.prettify(), limit
    return None


def _constant(node: Any) -> float | None:
    if isinstance(node, ast.NumberLiteral):
        return float(node.val)
    if isinstance(node, ast.UnaryExpr):
        inner = _constant(_unwrapped(node.expr))
        return None if inner is None else -inner
    return None


def _unwrapped(node: Any) -> Any:
    while isinstance(node, ast.ParenExpr):
        node = node.expr
    return node


def parse(expr: str) -> Any:
    """The expression's tree. Raises ValueError, with the problem, when the text is no PromQL expression."""
    try:
        return ast.parse(_without_raw_strings(expr))
    except ValueError as error:
        raise ValueError(f"is not PromQL: {error} (in {_shown(expr)})") from error


def _without_raw_strings(expr: str) -> str:
    """The same with raw strings, between backticks, quoted and escaped: the parser reads escapes in them too."""
    return "".join(
        json.dumps(match["string"][1:-1], ensure_ascii=False) if (match["string"] or "")[:1] == "`" else match.group()
        for match in _TOKEN.finditer(expr)
    )


def _shown(expr: str) -> str:
    text = " ".join(expr.split())
    return repr(text if len(text) <= 120 else text[:119] + "…")


def _compressed(text: str, time_scale: float) -> str:
    plain = text.isdigit()
    if time_scale == 1 and not plain:
        return text
    seconds = float(text) if plain else parse_duration(text)
    return "0s" if seconds == 0 else format_duration(max(0.001, seconds / time_scale))


def _children(node: Any) -> list[Any]:
    if isinstance(node, ast.BinaryExpr):
        return [node.lhs, node.rhs]
    if isinstance(node, ast.Call):
        return list(node.args)
    if isinstance(node, ast.AggregateExpr):
        return [child for child in (node.param, node.expr) if child is not None]
    if isinstance(node, ast.MatrixSelector):
        return [node.vector_selector]
    if isinstance(node, ast.ParenExpr | ast.UnaryExpr | ast.SubqueryExpr):
        return [node.expr]
    return []


def nodes(node: Any) -> Iterator[Any]:
    """The node and all below it, from above, in their order."""
    yield node
    for child in _children(node):
        yield from nodes(child)


def _lookback(node: Any) -> float:
    durations: list[timedelta | None] = []
    if isinstance(node, ast.MatrixSelector | ast.SubqueryExpr):
        durations.append(node.range)
    if isinstance(node, ast.VectorSelector | ast.SubqueryExpr):
        durations.append(node.offset)
    own = sum(duration.total_seconds() for duration in durations if duration is not None)
    return own + max((_lookback(child) for child in _children(node)), default=0.0)


def _shape(node: Any, time_scale: float) -> tuple[Any, ...]:
    children = tuple(_shape(child, time_scale) for child in _children(node))
    times = tuple(_scaled(getattr(node, name, None), time_scale) for name in ("range", "step", "offset"))
    own: tuple[Any, ...] = ()
    if isinstance(node, ast.VectorSelector):
        matchers = [*node.matchers.matchers, *(m for group in node.matchers.or_matchers for m in group)]
        own = (node.name, str(node.at), *((m.name, str(m.op), m.value) for m in matchers))
    elif isinstance(node, ast.SubqueryExpr):
        own = (str(node.at),)
    elif isinstance(node, ast.BinaryExpr | ast.AggregateExpr):
        own = (str(node.op), str(node.modifier))
    elif isinstance(node, ast.Call):
        own = (node.func.name,)
    elif isinstance(node, ast.NumberLiteral | ast.StringLiteral):
        own = (repr(node.val),)
    return (type(node).__name__, own, times, children)


def _scaled(duration: timedelta | None, time_scale: float) -> int | None:
    if duration is None:
        return None
    milliseconds = round(abs(duration.total_seconds()) / time_scale * 1000)
    return (max(1, milliseconds) if duration else 0) * (-1 if duration < timedelta(0) else 1)
