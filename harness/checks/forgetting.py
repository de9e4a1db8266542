"""How the replicas of an Alertmanager make each other forget that they told of an alert.

A replica looks at its group when the group's time is up, and tells of what it saw then after it has waited for those
before it. An alert that another told of meanwhile is not in what it saw: it tells the group without it, and the
replicas share that as the latest word (Alertmanager, notify/notify.go, ``DedupStage``). As far as they know nobody was
told of the alert, so nobody is owed its end, unless it still fires at the group's next interval and is told of again.
A group that was new to all of them when the alert fired is looked at by none of them before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.checks.notices import arrived_s, tells
from harness.checks.window import finite
from harness.model import Event


def forgotten_by(notices: Iterable[Event], told: Event, *, within_s: float) -> Event | None:
    """The notification after this one by which a replica told its group without the alert; None where none did.

    ``told``: one that says the alert fires. ``within_s``: the longest that a replica waits for others, in real seconds.
    """
    told_s = arrived_s(told)
    deliveries: dict[float, list[Event]] = {}
    for notice in notices:
        if _same_group(notice, told) and told_s < arrived_s(notice) <= told_s + within_s:
            deliveries.setdefault(arrived_s(notice), []).append(notice)
    for _, delivery in sorted(deliveries.items()):
        if not any(_knows(notice, told) for notice in delivery):
            return delivery[0]
        if any(_knows(notice, told) and notice.data["status"] == "resolved" for notice in delivery):
            return None
    return None


def is_remembered(
    notices: Sequence[Event], labels: Mapping[str, Any], *, since_s: float, now_s: float, within_s: float
) -> bool:
    """Whether all that were told since then that the alert fires will be told of its end: no replica made the others
    forget it, or can do so any more."""
    for first, last in _told(notices, labels, since_s):
        is_new = not any(arrived_s(notice) < arrived_s(first) for notice in notices if _same_group(notice, first))
        if not is_new and now_s < arrived_s(first) + within_s:
            return False
        if forgotten_by(notices, last, within_s=within_s) is not None:
            return False
    return True


def _told(notices: Iterable[Event], labels: Mapping[str, Any], since_s: float) -> list[tuple[Event, Event]]:
    """For each receiver and group the first and the last notification that the alert fires, of the last time it did."""
    found: dict[tuple[str, str], tuple[Event, Event]] = {}
    for notice in notices:
        if tells(notice, labels, "firing") and arrived_s(notice) >= since_s:
            group = (notice.name, str(notice.data.get("group_key")))
            first, _ = found.get(group, (notice, notice))
            is_same = first.data.get("starts_at_s") == notice.data.get("starts_at_s")
            found[group] = (first if is_same else notice, notice)
    return list(found.values())


def _same_group(one: Event, other: Event) -> bool:
    return (one.name, one.data.get("group_key")) == (other.name, other.data.get("group_key"))


def _knows(notice: Event, told: Event) -> bool:
    """Whether it speaks of the alert as one that has begun by then, be it over or not."""
    if notice.data["labels"] != told.data["labels"]:
        return False
    begun_s, known_s = finite(told.data.get("starts_at_s")), finite(notice.data.get("starts_at_s"))
    return notice.data["status"] == "firing" or begun_s is None or known_s is None or known_s >= begun_s
