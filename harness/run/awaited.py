"""What a run waits for: whether people were told of an alert, and by when they have to be."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from harness.checks.bounds import AlertBounds, alert_bounds
from harness.checks.forgetting import is_remembered
from harness.checks.notices import notices_since
from harness.checks.window import AlertHistory
from harness.model import Event
from harness.spec import AlertSpec, Route, Spec

_NOWHERE = Route("", (), 0.0, 0.0, 0.0, (), False, ())
# A replica's word that is still on its way when its turn is over.
_TURN_SLACK_S = 0.5
# From a rule's evaluation by Alertmanager and its receiver to the record.
_ON_ITS_WAY_S = 2.0


def is_told(histories: Iterable[AlertHistory], events: Sequence[Event], name: str, *, muted: bool = False) -> bool:
    """Whether somebody was told of every instance of the alert that fired, none is pending, and one has fired.

    ``histories``: those of the events. Of a ``muted`` alert nobody is told.
    """
    known = [history for history in histories if history.name == name]
    fired = [] if muted else [history for history in known if history.fired_within(-math.inf, math.inf)]
    return (
        bool(fired)
        and not any(history.changes[-1].state == "pending" for history in known)
        and all(notices_since(events, history.labels, "firing", since_s=-math.inf) for history in fired)
    )


def is_over(
    histories: Iterable[AlertHistory],
    events: Sequence[Event],
    name: str,
    *,
    now_s: float,
    within_s: float,
    muted: bool = False,
) -> bool:
    """Whether every instance of the alert is inactive again, and whoever was told of it was told of its end.

    Of one that nobody was told of, since it was over before its group's time was up, nobody is told the end either; a
    word on it may still come ``within_s`` after its end (``turns_s``).
    """
    for history in histories:
        if history.name != name:
            continue
        if history.changes[-1].state != "inactive":
            return False
        if muted or not history.fired_within(-math.inf, math.inf):
            continue
        begun_s, ended_s = _last_fired(history)
        if notices_since(events, history.labels, "resolved", since_s=ended_s):
            continue
        was_told = bool(notices_since(events, history.labels, "firing", since_s=begun_s))
        if was_told or now_s < ended_s + within_s + _ON_ITS_WAY_S:
            return False
    return True


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


def _last_fired(history: AlertHistory) -> tuple[float, float]:
    """From when to when an alert that is inactive fired the last time."""
    last = max(number for number, change in enumerate(history.changes) if change.state == "firing")
    ended_s = next(change.at_s for change in history.changes[last:] if change.state == "inactive")
    return history.changes[last].at_s, ended_s
