"""What the record says of notifications: whom they told what of an alert, and when."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from harness.checks.case import CLOCK_SLACK_S
from harness.checks.window import finite
from harness.model import Event


def arrived_s(notice: Event) -> float:
    """NaN for one that came at a time nobody knows: it is neither before nor after another."""
    at_s = finite(notice.data.get("arrived_s"))
    return math.nan if at_s is None else at_s


def tells(notice: Event, labels: Mapping[str, Any], status: str) -> bool:
    """Whether it says this of the alert with these labels."""
    return bool(notice.data["status"] == status and notice.data["labels"] == labels)


def notices_since(events: Iterable[Event], labels: Mapping[str, Any], status: str, *, since_s: float) -> list[Event]:
    """Those that say this of the alert, from then on. One whose arrival is no number comes last: it is better than
    none, since it says that something came."""
    found = [event for event in events if event.kind == "notice" and tells(event, labels, status)]
    timely = [event for event in found if arrived_s(event) >= since_s - 2 * CLOCK_SLACK_S]
    return timely + [event for event in found if math.isnan(arrived_s(event))]
