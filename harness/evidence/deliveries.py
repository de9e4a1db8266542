"""Notifications that Alertmanager itself says it could not deliver."""

from __future__ import annotations

from dataclasses import dataclass, field

import requests
from prometheus_client.parser import text_string_to_metric_families

from harness.direct import direct_session
from harness.evidence.events import UNDELIVERED
from harness.evidence.timeline import Record

_TIMEOUT_S = 3.0
_FAILED = "alertmanager_notifications_failed_total"


@dataclass(slots=True)
class DeliveryCollector:
    """Reads one Alertmanager's own count of failed notifications and records each increase, by integration.

    A receiver may have several integrations, of which one that works must not hide one that does not. An Alertmanager
    that does not answer is no gap: replicas stand in for one another, and what arrives is seen at the receivers.
    """

    url: str
    record: Record
    _http: requests.Session = field(default_factory=direct_session)
    _known: dict[str, float] | None = None

    def poll(self) -> None:
        """Compares with the last reading; after a restart the count begins anew."""
        try:
            answer = self._http.get(f"{self.url}/metrics", timeout=_TIMEOUT_S)
            answer.raise_for_status()
            now = _failed(answer.text)
        except (requests.RequestException, ValueError):
            return
        before = self._known if self._known is not None else {}
        for integration, count in now.items():
            increase = count - before.get(integration, 0.0)
            if increase > 0:
                self.record(UNDELIVERED, integration, {"alertmanager": self.url, "failed": increase})
        self._known = now


def _failed(text: str) -> dict[str, float]:
    counts: dict[str, float] = {}
    # The parser is slow, and Alertmanager is asked often: it gets those lines alone of several hundred.
    lines = [line for line in text.splitlines() if line.startswith(_FAILED)]
    for family in text_string_to_metric_families("\n".join(lines)):
        for sample in family.samples:
            if sample.name == _FAILED:
                integration = sample.labels.get("integration", "")
                counts[integration] = counts.get(integration, 0.0) + sample.value
    return counts
