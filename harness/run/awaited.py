"""What a run waits for: whether people were told of an alert, and by when they have to be."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from harness.checks.bounds import AlertBounds, alert_bounds
from harness.checks.case import CLOCK_SLACK_S
from harness.checks.forgetting import is_remembered
from harness.checks.window import AlertHistory, finite
from harness.model import Event
from harness.spec import AlertSpec, Route, Spec

_NOWHERE = Route("", (), 0.0, 0.0, 0.0, (), False, ())
# A replica's word that is still on its way when its turn is over.
_TURN_SLACK_S = 0.5


def notified(
    histories: Iterable[AlertHistory], events: Sequence[Event], name: str, status: str, *, muted: bool = False
) -> bool:
    """Whether every instance of the alert that fired was notified with this status, and at least one has fired.

    ``histories``: those of the events. For a resolution also alerts that only were pending must be inactive again, and
    the notification has to be of the last time that the alert fired. Of a ``muted`` alert nobody is told.
    """
    fired = 0
    for history in histories:
        if history.name != name:
            continue
        last = history.changes[-1]
        has_fired = any(change.state == "firing" for change in history.changes)
        if status == "firing" and last.state == "pending":
            return False
        if status == "resolved" and last.state != "inactive":
            return False
        if has_fired and not muted:
            fired += 1
            since_s = _ended_s(history) if status == "resolved" else -math.inf
            if not _arrived(events, history.labels, status, since_s=since_s):
                return False
    return fired > 0 or status == "resolved"


def turns_s(spec: Spec, *, time_scale: float) -> float:
    """For how long, in real seconds, an Alertmanager's other replicas may still speak after one has; 0 without any."""
    longest_s = 0.0 if spec.peers is None else spec.peers.longest_wait_s(time_scale)
    return longest_s + _TURN_SLACK_S if longest_s else 0.0


def remembered(
    histories: Iterable[AlertHistory], events: Iterable[Event], *, since_s: float, now_s: float, within_s: float
) -> bool:
    """Whether those told since then that these alerts fire will be told of their end. ``within_s``: ``turns_s``."""
    notices = [event for event in events if event.kind == "notice"]
    return all(
        is_remembered(notices, history.labels, since_s=since_s, now_s=now_s, within_s=within_s) for history in histories
    )


def bounds_of(rule: AlertSpec, spec: Spec, *, time_scale: float) -> list[AlertBounds]:
    """For each route of the alert; without an Alertmanager there is nothing to wait for beyond the rule itself."""
    labels = {**spec.external_labels, **rule.labels, "alertname": rule.name}
    routes = spec.route.resolve(labels) if spec.route is not None else (_NOWHERE,)
    return [alert_bounds(rule, route, time_scale=time_scale) for route in routes]


def _ended_s(history: AlertHistory) -> float:
    """When an alert that is inactive fired no longer."""
    last = max(number for number, change in enumerate(history.changes) if change.state == "firing")
    return next(change.at_s for change in history.changes[last:] if change.state == "inactive")


def _arrived(events: Sequence[Event], labels: Mapping[str, str], status: str, *, since_s: float) -> bool:
    """Whether anybody was told this of it since then; one that came at a time nobody knows counts."""
    for event in events:
        if event.kind == "notice" and event.data["status"] == status and event.data["labels"] == labels:
            arrived_s = finite(event.data.get("arrived_s"))
            if arrived_s is None or arrived_s >= since_s - 2 * CLOCK_SLACK_S:
                return True
    return False
