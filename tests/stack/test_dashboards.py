"""Dashboards as people write them, read for the queries their panels ask."""

from __future__ import annotations

from typing import Any

import pytest

from harness.stack.dashboards import read_panels


def panel(*exprs: str, title: str = "P", **changed: Any) -> dict[str, Any]:
    return {"title": title, "targets": [{"expr": expr} for expr in exprs], **changed}


def board(*panels: dict[str, Any], variables: tuple[dict[str, Any], ...] = (), **more: Any) -> dict[str, Any]:
    return {"title": "Board", "panels": list(panels), "templating": {"list": list(variables)}, **more}


def queries(expr: str, *variables: dict[str, Any]) -> tuple[tuple[str, ...], str]:
    (found,) = read_panels({"b": board(panel(expr), variables=variables)}, 30.0)
    return found.queries, found.problem


def test_panels_are_named_and_keep_their_queries() -> None:
    (found,) = read_panels({"b": board(panel("up", "rate(x[5m])"))}, 30.0)
    assert (found.name, found.queries, found.problem) == ("Board / P", ("up", "rate(x[5m])"), "")


def test_panels_inside_rows_of_either_form_are_found() -> None:
    new = board({"type": "row", "title": "R", "panels": [panel("a", title="A")]}, panel("b", title="B"))
    old = {"title": "Old", "rows": [{"panels": [panel("c", title="C", type="singlestat")]}]}
    found = read_panels({"new": new, "old": old, "wrapped": {"dashboard": board(panel("d", title="D"))}}, 30.0)
    assert [each.name for each in found] == ["Board / A", "Board / B", "Old / C", "Board / D"]


def test_text_hidden_targets_and_other_datasources_are_left_out() -> None:
    mixed = {
        "title": "Mixed",
        "targets": [
            {"expr": "a", "hide": True},
            {"expr": '{app="x"} |= `y`', "datasource": {"type": "loki"}},
            {"expr": "b", "datasource": {"type": "prometheus"}},
            {"rawSql": "select 1"},
        ],
    }
    (found,) = read_panels({"b": board({"type": "text", "title": "Words"}, mixed)}, 30.0)
    assert found.queries == ("b",)


@pytest.mark.parametrize(
    ("expr", "filled"),
    [
        ("rate(x[$__rate_interval])", "rate(x[2m])"),
        ("rate(x[${__interval}])", "rate(x[30s])"),
        ("increase(x[$__range])", "increase(x[6h])"),
        ("x / $__range_s", "x / 21600"),
    ],
)
def test_grafanas_own_variables_have_its_values(expr: str, filled: str) -> None:
    assert queries(expr) == ((filled,), "")


def test_a_rate_interval_is_four_scrapes() -> None:
    (found,) = read_panels({"b": board(panel("rate(x[$__rate_interval])"))}, 60.0)
    assert found.queries == ("rate(x[4m])",)


@pytest.mark.parametrize("form", ["$job", "${job}", "${job:regex}", "[[job]]"])
def test_a_query_variable_stands_for_everything_whatever_the_matcher(form: str) -> None:
    variable = {"name": "job", "type": "query", "current": {"value": "one"}}
    assert queries(f'x{{job=~"{form}"}}', variable) == (('x{job=~".*"}',), "")
    assert queries(f'x{{job="{form}"}}', variable) == (('x{job=~".*"}',), "")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ({"type": "custom", "query": "p50,p99"}, "p50"),
        ({"type": "custom", "query": "Half : p50, All : p99"}, "p50"),
        ({"type": "custom", "current": {"value": ["a", "b"]}}, "a|b"),
        ({"type": "custom", "current": {"value": "$__all"}, "allValue": "p.+"}, "p.+"),
        ({"type": "textbox", "current": {"value": "c"}}, "c"),
        ({"type": "constant", "query": "d"}, "d"),
    ],
)
def test_other_variables_begin_with_what_grafana_shows_first(variable: dict[str, Any], value: str) -> None:
    assert queries('x{q=~"$q"}', {"name": "q", **variable}) == ((f'x{{q=~"{value}"}}',), "")


def test_what_nothing_gives_a_value_is_a_problem_with_its_name() -> None:
    assert queries('x{q="$nowhere"}')[1] == "nothing says what $nowhere stands for"


def test_what_is_no_promql_is_a_problem() -> None:
    assert "is not PromQL" in queries("sum(x")[1]


@pytest.mark.parametrize("odd", [{}, {"panels": None}, {"panels": [1, None, {"targets": "x"}]}, {"templating": []}])
def test_odd_dashboards_have_no_panels(odd: dict[str, Any]) -> None:
    assert read_panels({"odd": odd}, 30.0) == ()
