"""Grafana dashboards → their panels, with the queries Prometheus is asked when somebody looks at them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from harness.clock import format_duration
from harness.spec import Panel
from harness.stack.promql import check_promql

_VARIABLE = re.compile(r"\$\{(?P<braced>\w+)(?:[:.][^}]*)?\}|\[\[(?P<bracketed>\w+)(?::\w+)?\]\]|\$(?P<plain>\w+)")
# What Grafana shows when nobody has chosen a time range of their own, and the step it draws it with.
_RANGE_S = 6 * 3600.0
_STEP_S = 30.0
_EVERYTHING = ".*"


def read_panels(dashboards: Mapping[str, Mapping[str, Any]], scrape_interval_s: float) -> tuple[Panel, ...]:
    """Every panel that asks Prometheus, in the dashboards' order, those inside rows included. Durations are spec time.

    Grafana's variables are replaced as its own defaults do: an interval for a rate is four scrapes, a query's or
    datasource's ``All`` is everything. ``problem`` says why a panel's query cannot be asked.
    """
    panels = []
    for name, dashboard in dashboards.items():
        # Grafana's API wraps what its files hold bare.
        inner = dashboard.get("dashboard")
        content = inner if isinstance(inner, Mapping) else dashboard
        values = {**_built_in(scrape_interval_s), **_chosen(content)}
        title = str(content.get("title") or name)
        panels += [_panel(title, raw, values) for raw in _all_panels(content) if _queries(raw)]
    return tuple(panels)


def _all_panels(content: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The panels of a dashboard, of its rows in either of Grafana's two forms, and of those inside collapsed rows."""
    for key in ("panels", "rows"):
        for each in content.get(key) or []:
            if isinstance(each, Mapping):
                yield each
                yield from _all_panels(each)


def _queries(panel: Mapping[str, Any]) -> list[str]:
    """The expressions a panel draws; a hidden target and one of another datasource are no part of it."""
    targets = panel.get("targets") or []
    if not isinstance(targets, list):
        return []
    shown = [each for each in targets if isinstance(each, Mapping) and not each.get("hide") and _asks_prometheus(each)]
    return [str(each["expr"]) for each in shown if isinstance(each.get("expr"), str) and each["expr"].strip()]


def _asks_prometheus(target: Mapping[str, Any]) -> bool:
    source = target.get("datasource")
    kind = source.get("type") if isinstance(source, Mapping) else None
    return kind in (None, "prometheus")


def _panel(dashboard: str, raw: Mapping[str, Any], values: Mapping[str, str]) -> Panel:
    queries, problem = [], ""
    for written in _queries(raw):
        query, unknown = _filled_in(written, values)
        queries.append(query)
        if unknown:
            problem = problem or f"nothing says what ${unknown} stands for"
            continue
        try:
            check_promql(query)
        except ValueError as error:
            problem = problem or str(error)
    return Panel(dashboard, str(raw.get("title") or f"panel {raw.get('id', '?')}"), tuple(queries), problem)


def _filled_in(query: str, values: Mapping[str, str]) -> tuple[str, str]:
    """The query without variables, and the name of one that nothing gives a value; empty when there is none."""
    unknown = ""

    def value(match: re.Match[str]) -> str:
        nonlocal unknown
        name = str(match["braced"] or match["bracketed"] or match["plain"])
        if name not in values:
            unknown = unknown or name
            return match[0]
        return values[name]

    filled = _VARIABLE.sub(value, query)
    # A variable that stands for everything is compared as a pattern, whatever the dashboard's author wrote.
    return re.sub(r'(?<![=!])=\s*"\.\*"', '=~".*"', filled), unknown


def _built_in(scrape_interval_s: float) -> dict[str, str]:
    """Grafana's own variables; a rate interval is max(interval + scrape, 4 × scrape) (docs: dashboards/variables)."""
    rate_s = max(_STEP_S + scrape_interval_s, 4 * scrape_interval_s)
    return {
        "__interval": format_duration(_STEP_S),
        "__interval_ms": f"{_STEP_S * 1000:g}",
        "__rate_interval": format_duration(rate_s),
        "__range": format_duration(_RANGE_S),
        "__range_s": f"{_RANGE_S:g}",
        "__range_ms": f"{_RANGE_S * 1000:g}",
    }


def _chosen(content: Mapping[str, Any]) -> dict[str, str]:
    """The value each of a dashboard's own variables begins with."""
    templating = content.get("templating")
    listed = templating.get("list") if isinstance(templating, Mapping) else None
    found = {}
    for each in listed or []:
        if isinstance(each, Mapping) and isinstance(each.get("name"), str):
            found[each["name"]] = _first_value(each)
    return found


def _first_value(variable: Mapping[str, Any]) -> str:
    current = variable.get("current")
    value = current.get("value") if isinstance(current, Mapping) else None
    if variable.get("type") in ("query", "datasource") or value in ("$__all", ["$__all"]):
        return str(variable.get("allValue") or _EVERYTHING)
    if isinstance(value, list):
        return "|".join(map(str, value)) or _EVERYTHING
    if value in (None, "", "$__auto_interval"):
        written = str(variable.get("query") or "").split(",")[0].strip()
        return written.rpartition(":")[2].strip() or _EVERYTHING
    return str(value)
