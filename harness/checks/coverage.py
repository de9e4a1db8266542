"""What of the stack the run has proved, and what it has not: alerts, receivers, routes, inhibition rules, panels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from harness.model import CheckResult, Covered, Event, Verdict
from harness.spec import InhibitRule, Matcher, Route, Spec


def coverage(results: Sequence[CheckResult], events: Sequence[Event], spec: Spec) -> Mapping[str, Covered]:
    """For each kind of thing the stack has, the names of those proved and of those not.

    An alert is proved when its whole life was seen; a receiver when a notification that passed its check arrived there,
    and that it resolved, where it asks for that; a route when such a notification took it; an inhibition rule when a
    ``muted`` expectation passed by it; a panel when each of its queries returned data.
    """
    by_seq = {event.seq: event for event in events}
    proved, unproved = alerts_proved(results, spec)
    return {
        "alerts": Covered(proved, unproved),
        "receivers": _receivers(results, by_seq, spec),
        "routes": _routes(results, by_seq, spec),
        "inhibition_rules": _inhibition_rules(results, spec),
        "panels": _panels(events, spec),
    }


def alerts_proved(results: Iterable[CheckResult], spec: Spec) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The alerts whose whole life was seen, and those it was not, each sorted.

    A heartbeat's whole life is to fire and to arrive. An alert with any check short of PASS is not proved.
    """
    by_alert: dict[str, list[CheckResult]] = {}
    for result in results:
        if result.check.startswith("alert "):
            name = result.check.removeprefix("alert ").partition(": ")[0]
            by_alert.setdefault(name, []).append(result)
    proved = {
        name
        for name, found in by_alert.items()
        if all(result.verdict is Verdict.PASS for result in found)
        and any(result.check.endswith((": resolution notified", ": heartbeat")) for result in found)
    }
    names = {alert.name for alert in spec.alerts}
    return tuple(sorted(proved & names)), tuple(sorted(names - proved))


def rule_text(rule: InhibitRule) -> str:
    """An inhibition rule as one line: what mutes what, and which labels have to agree."""
    return f"{_matchers(rule.source)} mutes {_matchers(rule.target)} on {', '.join(rule.equal) or 'nothing in common'}"


def _receivers(results: Sequence[CheckResult], by_seq: Mapping[int, Event], spec: Spec) -> Covered:
    told = {notice.name for notice, _ in _passed(results, by_seq, ": notified", ": heartbeat")}
    beaten = {notice.name for notice, _ in _passed(results, by_seq, ": heartbeat")}
    resolved = {notice.name for notice, _ in _passed(results, by_seq, ": resolution notified")} | beaten
    proved, unproved = [], []
    for receiver in spec.receivers:
        if receiver.name not in told:
            silent = "" if receiver.integrations else ", and it has no integrations"
            unproved.append(f"{receiver.name}: no alert was seen to arrive{silent}")
        elif receiver.send_resolved and receiver.name not in resolved:
            unproved.append(f"{receiver.name}: no resolution was seen to arrive")
        else:
            proved.append(receiver.name)
    return Covered(tuple(proved), tuple(unproved))


def _routes(results: Sequence[CheckResult], by_seq: Mapping[int, Event], spec: Spec) -> Covered:
    if spec.route is None:
        return Covered((), ())
    taken = [
        route
        for notice, labels in _passed(results, by_seq, ": notified", ": heartbeat")
        for route in spec.route.resolve(labels)
        if route.receiver == notice.name
    ]
    everywhere = list(_paths(spec.route, ()))
    proved = tuple(name for name, route in everywhere if route in taken)
    return Covered(proved, tuple(name for name, route in everywhere if route not in taken))


def _paths(route: Route, above: tuple[str, ...]) -> Iterator[tuple[str, Route]]:
    """Every route with the matchers that lead to it and its receiver, as one line."""
    path = (*above, _matchers(route.matchers)) if route.matchers else above
    yield f"{' '.join(path) or 'the root'} → {route.receiver or 'nobody'}", route
    for child in route.routes:
        yield from _paths(child, path)


def _inhibition_rules(results: Sequence[CheckResult], spec: Spec) -> Covered:
    passed = [each.summary for each in results if each.check.endswith(": muted") and each.verdict is Verdict.PASS]
    names = tuple(dict.fromkeys(rule_text(rule) for rule in spec.inhibit_rules))
    proved = tuple(name for name in names if any(name in summary for summary in passed))
    return Covered(proved, tuple(name for name in names if name not in proved))


def _panels(events: Sequence[Event], spec: Spec) -> Covered:
    last: dict[str, dict[str, Event]] = {}
    for event in events:
        if event.kind == "panel":
            last.setdefault(event.name, {})[str(event.data["query"])] = event
    proved, unproved = [], []
    for panel in spec.panels:
        asked = last.get(panel.name, {})
        empty = [event for event in asked.values() if not event.data["series"]]
        if panel.problem:
            unproved.append(f"{panel.name}: {panel.problem}")
        elif len(asked) < len(set(panel.queries)):
            unproved.append(f"{panel.name}: was not asked")
        elif empty:
            why = empty[0].data.get("error") or "returned no data"
            unproved.append(f"{panel.name}: {why} ({empty[0].data['query']})")
        else:
            proved.append(panel.name)
    return Covered(tuple(proved), tuple(unproved))


def _passed(
    results: Sequence[CheckResult], by_seq: Mapping[int, Event], *stages: str
) -> Iterator[tuple[Event, Mapping[str, str]]]:
    """The notifications that passing checks of these stages rest on, with their alert's labels."""
    for result in results:
        if result.verdict is Verdict.PASS and result.check.startswith("alert ") and result.check.endswith(stages):
            for event in (by_seq[seq] for seq in result.evidence if seq in by_seq):
                if event.kind == "notice":
                    yield event, event.data["labels"]


def _matchers(matchers: Iterable[Matcher]) -> str:
    return "{" + ", ".join(f'{each.name}{each.op}"{each.value}"' for each in matchers) + "}"
