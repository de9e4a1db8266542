"""Alertmanager's configuration → the routing tree with everything inherited, receivers and inhibitions, for
the spec.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from harness.clock import parse_duration
from harness.errors import Mistake
from harness.spec import InhibitRule, Matcher, Receiver, Route
from harness.stack.matchers import checked, parse_matchers
from harness.stack.places import Place
from harness.stack.receivers import Network, describe_receiver

# Source: prometheus/alertmanager, dispatch/route.go, DefaultRouteOpts.
DEFAULT_WAITS = {"group_wait": "30s", "group_interval": "5m", "repeat_interval": "4h"}


def read_routing(
    configuration: Mapping[str, Any], network: Network, place: Place, mistakes: list[Mistake]
) -> tuple[Route | None, tuple[Receiver, ...], tuple[InhibitRule, ...]]:
    """The routing tree (None without one), the receivers and the inhibitions of Alertmanager's configuration.

    The configuration may be somebody's raw one: a shape Alertmanager would not read is a mistake.
    """
    try:
        route = _read_route(configuration, place, mistakes)
        receivers = _read_receivers(configuration, network)
        return route, receivers, _read_inhibit_rules(configuration, place, mistakes)
    except (AttributeError, TypeError) as error:
        mistakes.append(place.mistake(f"is not shaped as Alertmanager reads it: {error}"))
        return None, (), ()


def _read_route(configuration: Mapping[str, Any], place: Place, mistakes: list[Mistake]) -> Route | None:
    """The routing tree with every setting inherited; None when the configuration has none."""
    root = configuration.get("route")
    if not isinstance(root, dict):
        return None
    names = {str(one.get("name")) for one in configuration.get("receivers", []) if isinstance(one, dict)}
    origin = Route(
        receiver="",
        group_by=(),
        group_wait_s=parse_duration(DEFAULT_WAITS["group_wait"]),
        group_interval_s=parse_duration(DEFAULT_WAITS["group_interval"]),
        repeat_interval_s=parse_duration(DEFAULT_WAITS["repeat_interval"]),
        matchers=(),
        continues=False,
        routes=(),
    )
    return _route(root, origin, place.at("route"), names, mistakes)


def _read_receivers(configuration: Mapping[str, Any], network: Network) -> tuple[Receiver, ...]:
    """The configuration's receivers, in its order."""
    receivers = configuration.get("receivers", [])
    return tuple(describe_receiver(one, network) for one in receivers if isinstance(one, dict))


def _read_inhibit_rules(
    configuration: Mapping[str, Any], place: Place, mistakes: list[Mistake]
) -> tuple[InhibitRule, ...]:
    """The configuration's inhibitions, in its order."""
    rules: list[InhibitRule] = []
    for index, rule in enumerate(configuration.get("inhibit_rules", [])):
        here = place.at("inhibit_rules", index)
        source = _matchers(rule, ("source_match", "source_match_re", "source_matchers"), here, mistakes)
        target = _matchers(rule, ("target_match", "target_match_re", "target_matchers"), here, mistakes)
        rules.append(InhibitRule(source, target, tuple(rule.get("equal", ()))))
    return tuple(rules)


def _route(
    written: Mapping[str, Any], parent: Route, place: Place, receivers: set[str], mistakes: list[Mistake]
) -> Route:
    waits = {key: _duration(written, key, place, mistakes) for key in DEFAULT_WAITS}
    receiver = str(written.get("receiver", "")) or parent.receiver
    if receiver not in receivers:
        mistakes.append(place.at("receiver").mistake(f"there is no receiver {receiver!r}"))
    group_by = tuple(written["group_by"]) if written.get("group_by") else parent.group_by
    own = Route(
        receiver=receiver,
        group_by=group_by,
        group_wait_s=_or(waits["group_wait"], parent.group_wait_s),
        group_interval_s=_or(waits["group_interval"], parent.group_interval_s),
        repeat_interval_s=_or(waits["repeat_interval"], parent.repeat_interval_s),
        matchers=_matchers(written, ("match", "match_re", "matchers"), place, mistakes),
        continues=bool(written.get("continue", False)),
        routes=(),
    )
    children = tuple(
        _route(child, own, place.at("routes", index), receivers, mistakes)
        for index, child in enumerate(written.get("routes", ()))
    )
    return Route(
        own.receiver,
        own.group_by,
        own.group_wait_s,
        own.group_interval_s,
        own.repeat_interval_s,
        own.matchers,
        own.continues,
        children,
    )


def _duration(written: Mapping[str, Any], key: str, place: Place, mistakes: list[Mistake]) -> float | None:
    if key not in written:
        return None
    try:
        return parse_duration(str(written[key]))
    except ValueError as error:
        mistakes.append(place.at(key).mistake(str(error)))
        return None


def _or(value: float | None, inherited: float) -> float:
    return inherited if value is None else value


def _matchers(
    written: Mapping[str, Any], keys: tuple[str, str, str], place: Place, mistakes: list[Mistake]
) -> tuple[Matcher, ...]:
    equal, pattern, lines = keys
    found: list[Matcher] = []
    for key, operator in ((equal, "="), (pattern, "=~")):
        for name, value in written.get(key, {}).items():
            found += _checked(
                lambda n=name, o=operator, v=value: (checked(Matcher(n, o, str(v))),), place.at(key), mistakes
            )
    for index, line in enumerate(written.get(lines, ())):
        found += _checked(lambda text=line: parse_matchers(str(text)), place.at(lines, index), mistakes)
    return tuple(found)


def _checked(read: Any, place: Place, mistakes: list[Mistake]) -> Iterable[Matcher]:
    try:
        return tuple(read())
    except ValueError as error:
        mistakes.append(place.mistake(str(error)))
        return ()
