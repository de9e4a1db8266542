"""What reached the notification receivers, with the time each notification arrived there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import requests

from harness.clock import RunClock
from harness.direct import direct_session
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
    _read_at_s: float | None = None
    _http: requests.Session = field(default_factory=direct_session)

    def poll(self) -> None:
        """Everything that arrived since the last poll; a receiver that does not answer is a gap."""
        began_s = self.clock.now_s()
        try:
            answer = self._http.get(f"{self.url}/notifications", params={"after": self._last}, timeout=_TIMEOUT_S)
            answer.raise_for_status()
            page = answer.json()
            last = int(page["last"])
            notices = [notice for notification in page["notifications"] for notice in self._notices(notification)]
        except (requests.RequestException, ValueError, KeyError, TypeError, AttributeError) as error:
            self._gap(began_s, f"{type(error).__name__}: {error}")
            return
        if last < self._last:
            self._gap(began_s, f"the receiver started anew: it numbers {last}, {self._last} were read before")
            self._last = 0
            return
        self._away_since_s, self._read_at_s = None, began_s
        for receiver, data in notices:
            self.record(NOTICE, receiver, data)
        self._last = last

    def _gap(self, began_s: float, error: str) -> None:
        if self._away_since_s is None:
            self._away_since_s = self._read_at_s if self._read_at_s is not None else began_s
        gap = {"from_s": self._away_since_s, "to_s": self.clock.now_s(), "error": error[:300]}
        self.record(GAP, "receiver", gap)

    def _notices(self, notification: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Receiver and data of one ``notice`` for each alert of a delivery."""
        body = notification["body"]
        for alert in body["alerts"]:
            labels = alert.get("labels") or {}
            yield (
                str(notification["receiver"]),
                {
                    "status": alert.get("status"),
                    "arrived_s": round(self.clock.from_unix(float(notification["arrived_unix_s"])), 3),
                    "alertname": labels.get("alertname"),
                    "labels": labels,
                    "starts_at_s": self._run_s(alert.get("startsAt")),
                    "ends_at_s": self._run_s(alert.get("endsAt")),
                    "group_key": body.get("groupKey"),
                    "path": notification.get("path"),
                },
            )

    def _run_s(self, text: str | None) -> float | None:
        """None for a missing time and for Go's zero time, which Alertmanager sends for an end that is not known."""
        if not text or text.startswith("0001-"):
            return None
        try:
            return round(self.clock.from_unix(datetime.fromisoformat(text).timestamp()), 3)
        except ValueError:  # anybody can send to a receiver; one odd delivery must not hide all that follow
            return None
