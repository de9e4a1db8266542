"""PromQL that reads the clock or the calendar: it cannot be compressed with the durations around it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import promql_parser as ast

from harness.stack.promql import COMPARISONS, SET_OPERATIONS, nodes, parse, selection

_CALENDAR = frozenset(
    {"hour", "minute", "month", "year", "day_of_month", "day_of_week", "day_of_year", "days_in_month"}
)


def incompressible(expr: str, clocks: Collection[str] = ()) -> tuple[str, ...]:
    """Why compressing the expression would change its meaning; empty when it would not.

    Seconds written as plain numbers and the calendar do not shrink with the durations around them. ``clocks``: metrics
    whose values were read from the clock by a rule that recorded them.
    """
    reasons: list[str] = []
    for node in nodes(parse(expr)):
        if isinstance(node, ast.BinaryExpr):
            reasons += _clock_arithmetic(node, clocks)
        if isinstance(node, ast.Call) and node.func.name in _CALENDAR:
            reasons.append(f"reads the calendar with {node.func.name}()")
        if isinstance(node, ast.Call) and node.func.name == "predict_linear":
            reasons.append(f"predicts {node.args[1].prettify()} s ahead with predict_linear()")
        if isinstance(node, ast.VectorSelector | ast.SubqueryExpr) and _fixed_time(node.at):
            reasons.append(f"reads at a fixed time ({node.at})")
    return tuple(dict.fromkeys(reasons))


def reads_clock(expr: str) -> bool:
    """Whether the expression calculates with the time it is evaluated at, or that of its samples."""
    return _clock_in(parse(expr), ()) is not None


def is_constant(expr: str) -> bool:
    """Whether the expression reads neither series nor the clock: it is always the same."""
    clocks = {"time", *_CALENDAR}
    return not any(
        isinstance(node, ast.VectorSelector) or (isinstance(node, ast.Call) and node.func.name in clocks)
        for node in nodes(parse(expr))
    )


def _clock_arithmetic(node: Any, clocks: Collection[str]) -> Iterator[str]:
    operation = str(node.op)
    if operation in SET_OPERATIONS:
        return
    for side, other in ((node.lhs, node.rhs), (node.rhs, node.lhs)):
        clock = _clock_in(side, clocks)
        if clock is None or _clock_in(other, clocks) is not None:
            continue
        if operation in COMPARISONS:
            yield f"compares {clock} with {other.prettify()}"
        elif _is_number(other):
            yield f"calculates {clock} {operation} {other.prettify()}"


def _clock_in(node: Any, clocks: Collection[str]) -> str | None:
    for inner in nodes(node):
        if isinstance(inner, ast.VectorSelector) and selection(inner).metric in clocks:
            return str(selection(inner).metric)
        if isinstance(inner, ast.Call) and inner.func.name in ("time", "timestamp"):
            return f"{inner.func.name}()"
    return None


def _is_number(node: Any) -> bool:
    return all(
        isinstance(inner, ast.NumberLiteral | ast.ParenExpr | ast.UnaryExpr | ast.BinaryExpr) for inner in nodes(node)
    )


def _fixed_time(at: Any) -> bool:
    return at is not None and at.type == ast.AtModifierType.At
