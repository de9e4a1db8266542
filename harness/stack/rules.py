"""Selected PrometheusRules → rule groups as Prometheus reads them, and what they say of each alert."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from harness.clock import parse_duration
from harness.errors import Mistake
from harness.spec import AlertSpec
from harness.stack import recordings
from harness.stack.inventory import Found, Inventory
from harness.stack.objects import ScrapeEndpoint
from harness.stack.operator_manifests import PrometheusManifest, PrometheusRuleManifest, RuleFields, RuleGroup
from harness.stack.places import Place
from harness.stack.promql import comparison, metrics_of
from harness.stack.promql_clock import is_constant
from harness.stack.recordings import Recording
from harness.stack.scraped import scrape_interval_s
from harness.stack.selection import Choice, choose

Group = Mapping[str, Any]
_METRIC_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


def read_rule_groups(
    prometheus: Found[PrometheusManifest], inventory: Inventory, mistakes: list[Mistake]
) -> tuple[tuple[Group, ...], tuple[str, ...]]:
    """The groups of every selected PrometheusRule, and a line for each one that is not selected.

    A group holds ``name``, ``rules`` and where written ``interval`` and ``limit``. Also unselected rules are checked.
    """
    spec = prometheus.manifest.spec
    choice = Choice(
        prometheus.title, prometheus.key[0], "ruleSelector", spec.rule_selector, spec.rule_namespace_selector
    )
    candidates = inventory.of(PrometheusRuleManifest)
    for found in candidates:
        _check(found, mistakes)
    selected, refused = choose(candidates, choice, inventory)
    return tuple(_group(group) for found in selected for group in found.manifest.spec.groups), refused


def alert_specs(
    groups: Sequence[Group], endpoints: Sequence[ScrapeEndpoint], evaluation_interval_s: float
) -> tuple[AlertSpec, ...]:
    """What the groups say of each alert, in their order."""
    recorded: dict[str, list[Recording]] = {}
    for group in groups:
        interval_s = _interval_s(group, evaluation_interval_s)
        for rule in (rule for rule in group["rules"] if "record" in rule):
            recorded.setdefault(rule["record"], []).append(Recording(rule["expr"], interval_s))
    return tuple(
        AlertSpec(
            name=rule["alert"],
            group=group["name"],
            expr=rule["expr"],
            for_s=parse_duration(rule.get("for", "0s")),
            keep_firing_for_s=parse_duration(rule.get("keep_firing_for", "0s")),
            labels=rule.get("labels", {}),
            annotations=rule.get("annotations", {}),
            lookback_s=recordings.lookback_s(rule["expr"], recorded),
            scrape_interval_s=scrape_interval_s(rule["expr"], endpoints, recorded),
            evaluation_interval_s=_interval_s(group, evaluation_interval_s),
            metrics=metrics_of(rule["expr"]),
            incompressible=recordings.incompressible(rule["expr"], recorded),
            counts_over_s=recordings.counts_over_s(rule["expr"], recorded),
            is_heartbeat=is_constant(rule["expr"]),
            compared=compared,
            threshold=threshold,
        )
        for group in groups
        for rule in group["rules"]
        if "alert" in rule
        for compared, threshold in [comparison(rule["expr"]) or (None, None)]
    )


def _interval_s(group: Group, evaluation_interval_s: float) -> float:
    return parse_duration(group["interval"]) if "interval" in group else evaluation_interval_s


def _check(found: Found[PrometheusRuleManifest], mistakes: list[Mistake]) -> None:
    names: set[str] = set()
    for index, group in enumerate(found.manifest.spec.groups):
        place = found.place.at("spec", "groups", index)
        if group.name in names:
            mistakes.append(place.at("name").mistake(f"the group {group.name!r} stands twice in one PrometheusRule"))
        names.add(group.name)
        for number, rule in enumerate(group.rules):
            _check_rule(rule, place.at("rules", number), mistakes)


def _check_rule(rule: RuleFields, place: Place, mistakes: list[Mistake]) -> None:
    if (rule.alert is None) is (rule.record is None):
        mistakes.append(place.mistake("needs either alert or record"))
    if rule.alert == "":
        mistakes.append(place.at("alert").mistake("is empty, need a name"))
    if rule.record is not None:
        if not _METRIC_NAME.fullmatch(rule.record):
            mistakes.append(place.at("record").mistake(f"got {rule.record!r}, need a metric name"))
        for key, value in (("for", rule.for_), ("annotations", rule.annotations)):
            if value:
                mistakes.append(place.at(key).mistake("a recording rule cannot have it"))
    for name in rule.labels:
        if not _LABEL_NAME.fullmatch(name) or name == "__name__":
            mistakes.append(place.at("labels", name).mistake("is no label name"))


def _group(group: RuleGroup) -> Group:
    written: dict[str, Any] = {"name": group.name}
    if group.interval is not None:
        written["interval"] = group.interval
    if group.limit is not None:
        written["limit"] = group.limit
    # Labels of a group are newer than the Prometheus this renders for; on the rules they mean the same.
    return {**written, "rules": [_rule(rule, group.labels) for rule in group.rules]}


def _rule(rule: RuleFields, group_labels: Mapping[str, str]) -> Mapping[str, Any]:
    written: dict[str, Any] = {"record": rule.record} if rule.record is not None else {"alert": rule.alert}
    written["expr"] = str(rule.expr)
    if rule.for_ is not None:
        written["for"] = rule.for_
    if rule.keep_firing_for is not None:
        written["keep_firing_for"] = rule.keep_firing_for
    labels = {**group_labels, **rule.labels}
    if labels:
        written["labels"] = labels
    if rule.annotations:
        written["annotations"] = dict(rule.annotations)
    return written
