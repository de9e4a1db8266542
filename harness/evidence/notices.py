"""What reached the notification receivers, with the time each notification arrived there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import requests

from harness.clock import RunClock
from harness.evidence.events import GAP, NOTICE
from harness.evidence.timeline import Record

_TIMEOUT_S = 3.0


@dataclass(slots=True)
class NoticeCollector:
    """Polls a notification receiver's ``/notifications`` and records one ``notice`` for each alert of each delivery."""

    url: str
    record: Record
    clock: RunClock
    _last: int = 0
    _away_since_s: float | None = None
    _read_at_s: float | None = field(default=None)

    def poll(self) -> None:
        """Everything that arrived since the last poll; a receiver that does not answer is a gap."""
        began_s = self.clock.now_s()
        try:
            answer = requests.get(f"{self.url}/notifications", params={"after": self._last}, timeout=_TIMEOUT_S)
            answer.raise_for_status()
            page = answer.json()
            if page["last"] < self._last:
                raise ValueError(f"the receiver started anew: it numbers {page['last']}, {self._last} were read before")
        except (requests.RequestException, ValueError, KeyError) as error:
            if self._away_since_s is None:
                self._away_since_s = self._read_at_s if self._read_at_s is not None else began_s
            gap = {"from_s": self._away_since_s, "to_s": self.clock.now_s(), "error": f"{error}"[:300]}
            self.record(GAP, "receiver", gap)
            if isinstance(error, ValueError):
                self._last = 0
            return
        self._away_since_s, self._read_at_s = None, began_s
        for notification in page["notifications"]:
            self._record(notification)
        self._last = page["last"]

    def _record(self, notification: Mapping[str, Any]) -> None:
        body = notification["body"]
        for alert in body.get("alerts", []):
            labels = alert.get("labels", {})
            data = {
                "status": alert.get("status"),
                "arrived_s": round(self.clock.from_unix(float(notification["arrived_unix_s"])), 3),
                "alertname": labels.get("alertname"),
                "labels": labels,
                "starts_at_s": self._run_s(alert.get("startsAt")),
                "ends_at_s": self._run_s(alert.get("endsAt")),
                "group_key": body.get("groupKey"),
                "path": notification.get("path"),
            }
            self.record(NOTICE, str(notification["receiver"]), data)

    def _run_s(self, text: str | None) -> float | None:
        """None for a missing time and for Go's zero time, which Alertmanager sends for an end that is not known."""
        if not text or text.startswith("0001-"):
            return None
        return round(self.clock.from_unix(datetime.fromisoformat(text).timestamp()), 3)
