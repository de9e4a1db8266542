"""What a rule looks at, sampled over one experiment, for the reader of the report; no verdict rests on it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import requests

from harness.clock import RunClock
from harness.direct import direct_session
from harness.evidence.events import NOTE, SAMPLE
from harness.evidence.timeline import Record

_TIMEOUT_S = 3.0
_POINTS = 80
_MOST_SERIES = 6


@dataclass(slots=True)
class SampleReader:
    """Reads a stretch of one expression from Prometheus and records a ``sample`` event for each of its points."""

    url: str
    record: Record
    clock: RunClock
    _http: requests.Session = field(default_factory=direct_session)

    def read(self, alert: str, expr: str, *, from_s: float, to_s: float) -> None:
        """At most 80 points of each of at most 6 series, those that moved most, over these seconds of the run.

        ``expr`` is in the time Prometheus runs at. One that it does not answer is noted, and so is what was left out.
        """
        step_s = max(0.1, (to_s - from_s) / _POINTS)
        params: dict[str, str | float] = {"query": expr, "step": f"{step_s:.3f}"}
        params |= {"start": self.clock.to_unix(from_s), "end": self.clock.to_unix(to_s)}
        try:
            answer = self._http.get(f"{self.url}/api/v1/query_range", params=params, timeout=_TIMEOUT_S)
            body = answer.json()
            if body["status"] != "success":
                raise ValueError(body.get("error"))
            found = [(dict(each["metric"]), list(each["values"])) for each in body["data"]["result"]]
        except (requests.RequestException, ValueError, KeyError, TypeError) as error:
            self.record(NOTE, "not sampled", {"alert": alert, "error": f"{type(error).__name__}: {error}"[:300]})
            return
        for labels, values in sorted(found, key=lambda each: _spread(each[1]), reverse=True)[:_MOST_SERIES]:
            labels.pop("__name__", None)
            for unix_s, value in values:
                at_s = round(self.clock.from_unix(float(unix_s)), 3)
                self.record(SAMPLE, alert, {"at_s": at_s, "labels": labels, "value": float(value)})
        if len(found) > _MOST_SERIES:
            left_out = f"{len(found) - _MOST_SERIES} of {len(found)} series were left out"
            self.record(NOTE, "not sampled", {"alert": alert, "error": left_out})


def _spread(values: list[list[str]]) -> float:
    """How far a series moved; one with a single value, or with none that is a number, did not move."""
    numbers = [number for number in (float(value) for _, value in values) if math.isfinite(number)]
    return max(numbers) - min(numbers) if numbers else 0.0
