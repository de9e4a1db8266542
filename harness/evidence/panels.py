"""Which dashboard panels show anything: their queries, asked of Prometheus until they have returned data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import requests

from harness.direct import direct_session
from harness.evidence.events import PANEL
from harness.evidence.timeline import Record

_TIMEOUT_S = 3.0
# A panel without data is asked again only now and then: some show something only while a fault is in.
_EVERY_POLLS = 8


@dataclass(slots=True)
class PanelCollector:
    """Records a ``panel`` event for each query of each panel whenever what it returns changes from or to nothing.

    ``queries``: panel and expression, in the time scale Prometheus runs at. One that has returned data is done. A
    Prometheus that does not answer is no evidence about a panel.
    """

    url: str
    record: Record
    queries: Sequence[tuple[str, str]]
    _http: requests.Session = field(default_factory=direct_session)
    _told: dict[tuple[str, str], str] = field(default_factory=dict)
    _polls: int = 0

    def poll(self) -> None:
        """Asks one round of what has not returned data yet."""
        self._polls += 1
        if self._polls % _EVERY_POLLS:
            return
        for panel, query in self.queries:
            if self._told.get((panel, query)) == "data":
                continue
            try:
                answer = self._http.get(f"{self.url}/api/v1/query", params={"query": query}, timeout=_TIMEOUT_S)
                body = answer.json()
                result = body["data"]["result"] if body["status"] == "success" else []
                error = "" if body["status"] == "success" else str(body.get("error"))[:300]
            except (requests.RequestException, ValueError, KeyError, TypeError):
                continue
            said = "data" if result else error
            if self._told.get((panel, query)) != said:
                self._told[(panel, query)] = said
                self.record(PANEL, panel, {"query": query, "series": len(result), "error": error})
