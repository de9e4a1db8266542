"""AlertmanagerConfig objects merged into Alertmanager's own configuration, as the operator merges them.

Source of the merge: prometheus-operator, pkg/alertmanager/amcfg.go.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from harness.errors import Mistake
from harness.spec import Matcher
from harness.stack.alertmanager_manifests import (
    AlertmanagerConfigManifest,
    AlertmanagerManifest,
    InhibitFields,
    MatcherFields,
    RouteFields,
)
from harness.stack.documents import parse_yaml
from harness.stack.inventory import Found, Inventory
from harness.stack.matchers import matcher_of, write_matcher
from harness.stack.places import Place
from harness.stack.receivers import receiver_of
from harness.stack.selection import Choice, choose

Configuration = dict[str, Any]
_KEY = "alertmanager.yaml"


def read_alertmanager_config(
    alertmanager: Found[AlertmanagerManifest], inventory: Inventory, mistakes: list[Mistake]
) -> tuple[Configuration, tuple[str, ...]]:
    """Alertmanager's configuration in spec time, and a line for each AlertmanagerConfig nothing selects."""
    spec, (namespace, _) = alertmanager.manifest.spec, alertmanager.key
    base = _base(alertmanager, inventory, mistakes)
    choice = Choice(
        alertmanager.title,
        namespace,
        "alertmanagerConfigSelector",
        spec.alertmanager_config_selector,
        spec.alertmanager_config_namespace_selector,
    )
    named = spec.alertmanager_configuration
    candidates = [
        found
        for found in inventory.of(AlertmanagerConfigManifest)
        if named is None or found.key != (namespace, named.name)
    ]
    selected, refused = choose(candidates, choice, inventory)
    for found in candidates:
        _check(found, mistakes)
    if mistakes:
        # Merging what is wrong would only tell the same mistakes again, in other words.
        return {}, refused
    routes: list[Configuration] = []
    for found in selected:
        enforced = _enforced(spec.alertmanager_config_matcher_strategy.type, found.key[0], namespace)
        routes += _merge(base, found, inventory, enforced)
    if isinstance(base.get("route"), dict):
        base["route"]["routes"] = [*routes, *base["route"].get("routes", [])]
    return base, refused


def _base(alertmanager: Found[AlertmanagerManifest], inventory: Inventory, mistakes: list[Mistake]) -> Configuration:
    spec, (namespace, name) = alertmanager.manifest.spec, alertmanager.key
    if spec.alertmanager_configuration is not None:
        return _global_form(alertmanager, inventory, mistakes)
    secret = inventory.secret(namespace, spec.config_secret or f"alertmanager-{name}")
    place = alertmanager.place.at("spec", "configSecret")
    if secret is None and spec.config_secret:
        problem = f"needs Secret {spec.config_secret} in namespace {namespace}, which the stack does not hold"
        mistakes.append(place.mistake(problem))
    if secret is None or _KEY not in secret:
        return {"route": {"receiver": "null"}, "receivers": [{"name": "null"}]}
    found = parse_yaml(secret[_KEY], place, mistakes)
    if not isinstance(found, dict) or not isinstance(found.get("route"), dict):
        mistakes.append(place.mistake(f"the Secret's {_KEY} holds no Alertmanager configuration with a route"))
        return {"route": {"receiver": "null"}, "receivers": [{"name": "null"}]}
    return found


def _global_form(
    alertmanager: Found[AlertmanagerManifest], inventory: Inventory, mistakes: list[Mistake]
) -> Configuration:
    named = alertmanager.manifest.spec.alertmanager_configuration
    assert named is not None
    found = inventory.get(AlertmanagerConfigManifest, alertmanager.key[0], named.name)
    if found is None or found.manifest.spec.route is None:
        place = alertmanager.place.at("spec", "alertmanagerConfiguration", "name")
        lacks = "the stack does not hold" if found is None else "has no route"
        mistakes.append(place.mistake(f"needs AlertmanagerConfig {named.name} in {alertmanager.key[0]}, which {lacks}"))
        return {"route": {"receiver": "null"}, "receivers": [{"name": "null"}]}
    _check(found, mistakes)
    if mistakes:
        return {}
    base: Configuration = {"receivers": []}
    timeout = named.global_.get("resolveTimeout")
    if timeout is not None:
        base["global"] = {"resolve_timeout": timeout}
    routes = _merge(base, found, inventory, ())
    base["route"] = {**routes[0], "continue": False}
    base["route"].pop("matchers", None)
    return base


def _enforced(strategy: str, namespace: str, own: str) -> tuple[Matcher, ...]:
    if strategy == "None" or (strategy != "OnNamespace" and namespace == own):
        return ()
    return (Matcher("namespace", "=", namespace),)


def _merge(
    base: Configuration,
    found: Found[AlertmanagerConfigManifest],
    inventory: Inventory,
    enforced: tuple[Matcher, ...],
) -> list[Configuration]:
    spec, (namespace, name) = found.manifest.spec, found.key

    def prefixed(text: str) -> str:
        return f"{namespace}/{name}/{text}" if text else ""

    inhibitions = [_inhibition(rule, enforced) for rule in spec.inhibit_rules]
    if inhibitions:
        base.setdefault("inhibit_rules", []).extend(inhibitions)
    if spec.route is None:
        return []
    raw: Sequence[Mapping[str, Any]] = found.raw["spec"].get("receivers", [])
    base.setdefault("receivers", []).extend(receiver_of(one, prefixed, namespace, inventory) for one in raw)
    intervals = [_time_interval(one, prefixed) for one in [*spec.mute_time_intervals, *spec.time_intervals]]
    if intervals:
        base.setdefault("mute_time_intervals", []).extend(intervals)
    return [{**_route(spec.route, prefixed, enforced), "continue": True}]


def _route(route: RouteFields, prefixed: Callable[[str], str], enforced: tuple[Matcher, ...] = ()) -> Configuration:
    written: Configuration = {}
    if route.receiver:
        written["receiver"] = prefixed(route.receiver)
    if route.group_by:
        written["group_by"] = list(route.group_by)
    for key, value in (
        ("group_wait", route.group_wait),
        ("group_interval", route.group_interval),
        ("repeat_interval", route.repeat_interval),
    ):
        if value is not None:
            written[key] = value
    matchers = [*map(matcher_of, route.matchers), *enforced]
    if matchers:
        written["matchers"] = [write_matcher(matcher) for matcher in matchers]
    if route.continue_:
        written["continue"] = True
    for key, names in (
        ("mute_time_intervals", route.mute_time_intervals),
        ("active_time_intervals", route.active_time_intervals),
    ):
        if names:
            written[key] = [prefixed(name) for name in names]
    if route.routes:
        written["routes"] = [_route(child, prefixed) for child in route.routes]
    return written


def _inhibition(rule: InhibitFields, enforced: tuple[Matcher, ...]) -> Configuration:
    def side(fields: Sequence[MatcherFields]) -> list[str]:
        return list(dict.fromkeys(write_matcher(matcher) for matcher in [*map(matcher_of, fields), *enforced]))

    written: Configuration = {
        "source_matchers": side(rule.source_match),
        "target_matchers": side(rule.target_match),
    }
    return {**written, "equal": list(rule.equal)} if rule.equal else written


def _time_interval(interval: Mapping[str, Any], prefixed: Callable[[str], str]) -> Configuration:
    periods: list[Configuration] = []
    for period in interval.get("timeIntervals", []):
        written: Configuration = {}
        for key, value in period.items():
            if key == "times":
                written["times"] = [{_snake(name): text for name, text in one.items()} for one in value]
            elif key == "daysOfMonth":
                written["days_of_month"] = [f"{one['start']}:{one['end']}" for one in value]
            else:
                written[_snake(key)] = value
        periods.append(written)
    return {"name": prefixed(str(interval.get("name", ""))), "time_intervals": periods}


def _snake(text: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", text).lower()


def _check(found: Found[AlertmanagerConfigManifest], mistakes: list[Mistake]) -> None:
    spec, place = found.manifest.spec, found.place.at("spec")
    receivers = [receiver.name for receiver in spec.receivers]
    for index, name in enumerate(receivers):
        if name in receivers[:index]:
            mistakes.append(place.at("receivers", index, "name").mistake(f"the receiver {name!r} stands twice"))
    for index, rule in enumerate(spec.inhibit_rules):
        for key, fields in (("sourceMatch", rule.source_match), ("targetMatch", rule.target_match)):
            _check_matchers(fields, place.at("inhibitRules", index, key), mistakes)
    intervals = {str(one.get("name")) for one in [*spec.mute_time_intervals, *spec.time_intervals]}
    if spec.route is not None:
        if not spec.route.receiver:
            mistakes.append(place.at("route", "receiver").mistake("is missing; the top route needs one"))
        _check_route(spec.route, place.at("route"), receivers, intervals, mistakes)


def _check_route(
    route: RouteFields, place: Place, receivers: Sequence[str], intervals: set[str], mistakes: list[Mistake]
) -> None:
    if route.receiver and route.receiver not in receivers:
        known = ", ".join(receivers) or "none"
        mistakes.append(place.at("receiver").mistake(f"there is no receiver {route.receiver!r}; there are: {known}"))
    for name in [*route.mute_time_intervals, *route.active_time_intervals]:
        if name not in intervals:
            mistakes.append(place.mistake(f"there is no time interval {name!r}"))
    _check_matchers(route.matchers, place.at("matchers"), mistakes)
    for index, child in enumerate(route.routes):
        _check_route(child, place.at("routes", index), receivers, intervals, mistakes)


def _check_matchers(fields: Sequence[MatcherFields], place: Place, mistakes: list[Mistake]) -> None:
    for index, one in enumerate(fields):
        try:
            matcher_of(one)
        except ValueError as error:
            mistakes.append(place.at(index, "value").mistake(str(error)))
