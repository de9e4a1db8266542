"""What Prometheus itself says: alert states to the evaluation, rule evaluations, scrape targets."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import requests
from prometheus_api_client import PrometheusConnect
from prometheus_api_client.exceptions import PrometheusApiClientException
from urllib3.util.retry import Retry

from harness.clock import RunClock
from harness.direct import direct_session
from harness.evidence.events import EVALUATION, GAP, RULE, TARGET
from harness.evidence.timeline import Record

_TIMEOUT_S = 3.0
# How often an unchanged rule group is written down again: often enough to prove that it was evaluated all along.
_EVALUATION_EVERY_S = 1.0

# An evaluation's samples carry the time it was due, its group the time it began, which after a slow start stays up to
# one interval later (rules/manager.go, Group.run). So many intervals later, one without a sample is another one.
_CERTAINLY_LATER = 1.75

# Go's zero time, which Prometheus shows for a group that has not been evaluated yet.
_NEVER = "0001-01-01T"
# What an answer that is not Prometheus's raises while it is read.
_MALFORMED = (ValueError, KeyError, TypeError, AttributeError)

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class _AlertSeries:
    """An alert's state and the evaluation that last showed it; ``inactive`` since the evaluation after that one.

    ``since_unix_s``: since when that evaluation held it active, in whole seconds; None when unknown.
    """

    state: str
    last_s: float
    since_unix_s: float | None = None


@dataclass(slots=True)
class PrometheusCollector:
    """Polls one Prometheus and records ``rule``, ``evaluation`` and ``target`` events, and a ``gap`` while it is away.

    ``poll_s`` is the owner's polling period: every poll reads twice that far back, so that no evaluation is missed.
    ``external_labels`` are added to what is recorded, so that an alert has here the labels it is sent with.
    """

    url: str
    record: Record
    clock: RunClock
    poll_s: float
    external_labels: Mapping[str, str] = field(default_factory=dict)
    _http: requests.Session = field(default_factory=direct_session)
    _api: PrometheusConnect = field(init=False)
    _series: dict[Labels, _AlertSeries] = field(default_factory=dict)
    _groups: dict[str, _Group] = field(default_factory=dict)
    _targets: dict[tuple[str, str], str] = field(default_factory=dict)
    _read_until_s: float | None = None
    _read_at_s: float | None = None
    _away_since_s: float | None = None

    def __post_init__(self) -> None:
        self._api = PrometheusConnect(url=self.url, session=self._http, retry=Retry(total=0), timeout=_TIMEOUT_S)

    def poll(self) -> None:
        """One look at everything; when Prometheus does not answer the gap is recorded once it is over or grows."""
        began_s = self.clock.now_s()
        try:
            groups = self._get("/api/v1/rules", {"type": "alert"})["groups"]
            self._read_alerts(groups)
            self._read_targets(self._get("/api/v1/targets", {"state": "active"})["activeTargets"])
        except (requests.RequestException, PrometheusApiClientException, *_MALFORMED) as error:
            if self._away_since_s is None:
                self._away_since_s = self._read_at_s if self._read_at_s is not None else began_s
            gap = {"from_s": self._away_since_s, "to_s": self.clock.now_s(), "error": _brief(error)}
            self.record(GAP, "prometheus", gap)
            return
        self._away_since_s = None
        self._read_at_s = began_s

    def _get(self, path: str, params: Mapping[str, str]) -> Mapping[str, Any]:
        answer = self._http.get(self.url + path, params=dict(params), timeout=_TIMEOUT_S)
        answer.raise_for_status()
        payload: Mapping[str, Any] = answer.json()["data"]
        return payload

    def _read_alerts(self, groups: list[Mapping[str, Any]]) -> None:
        now_s = self.clock.now_s()
        # Reading past the last read closes the hole that a slow poll or an absent Prometheus would leave.
        reach_s = 2 * self.poll_s + (now_s - self._read_until_s if self._read_until_s is not None else 2.0)
        query = f'{{__name__=~"ALERTS|ALERTS_FOR_STATE"}}[{max(1000, round(reach_s * 1000))}ms]'
        found = self._api.custom_query(query, params={"time": self.clock.to_unix(now_s)}, timeout=_TIMEOUT_S)
        evaluated = self._read_groups(groups)
        states: dict[Labels, list[tuple[float, str]]] = {}
        since: dict[Labels, dict[float, float]] = {}
        for series in found:
            metric = dict(series["metric"])
            name, state = metric.pop("__name__"), metric.pop("alertstate", "")
            labels = tuple(sorted(metric.items()))
            if name == "ALERTS":
                states.setdefault(labels, []).extend((float(at_unix_s), state) for at_unix_s, _ in series["values"])
            else:
                since.setdefault(labels, {}).update((float(at), float(value)) for at, value in series["values"])
        for labels, points in states.items():
            self._advance(labels, sorted(points), since.get(labels, {}))
        self._find_inactive(evaluated)
        self._read_until_s = now_s

    def _advance(self, labels: Labels, points: list[tuple[float, str]], since: Mapping[float, float]) -> None:
        """Follow one alert through its samples, oldest first, and record every change of state at its evaluation.

        ``since``: an evaluation's time → since when it held the alert active. All in Unix seconds.
        """
        for at_unix_s, state in points:
            at_s, since_unix_s = self.clock.from_unix(at_unix_s), since.get(at_unix_s)
            known = self._series.get(labels)
            if known is not None and at_s <= known.last_s + 1e-6:
                continue  # read before: each poll overlaps with the one before it
            if known is not None and known.state != "inactive":
                interval_s = self._interval_s(labels)
                missed = interval_s is not None and at_s - known.last_s > 1.9 * interval_s
                if interval_s is not None and missed and not self._stayed(known, since_unix_s):
                    self._record_state(labels, "inactive", known.last_s + interval_s)
                    known = None
            if known is None or state != known.state:
                self._record_state(labels, state, at_s)
            self._series[labels] = _AlertSeries(state, at_s, since_unix_s)

    def _stayed(self, known: _AlertSeries, since_unix_s: float | None) -> bool:
        """Whether an alert was active all along since it was ``known`` to be, so that nothing was evaluated in between.

        A Prometheus that starts anew moves the begin of what was pending by the time that it was away.
        """
        if since_unix_s is None:
            return False
        # What is cut off of a second would hide an end in it.
        return since_unix_s == known.since_unix_s or since_unix_s + 1 <= self.clock.to_unix(known.last_s)

    def _find_inactive(self, evaluated: Mapping[str, tuple[float, float]]) -> None:
        for labels, known in list(self._series.items()):
            group = evaluated.get(dict(labels).get("alertname", ""))
            if known.state == "inactive" or group is None:
                continue
            if group[0] > known.last_s + _CERTAINLY_LATER * group[1]:
                self._record_state(labels, "inactive", known.last_s + group[1])
                # Its old samples are read once more by the next poll, and must not bring it back.
                self._series[labels] = _AlertSeries("inactive", known.last_s)

    def _interval_s(self, labels: Labels) -> float | None:
        """The interval of the alert's group; the longest, where several groups have a rule of this name."""
        alert = dict(labels).get("alertname", "")
        return max((group.interval_s for group in self._groups.values() if alert in group.alerts), default=None)

    def _record_state(self, labels: Labels, state: str, at_s: float) -> None:
        named = {**self.external_labels, **dict(labels)}
        self.record(RULE, named["alertname"], {"labels": named, "state": state, "at_s": round(at_s, 3)})

    def _read_groups(self, groups: list[Mapping[str, Any]]) -> dict[str, tuple[float, float]]:
        """The last evaluation and interval of each alert's group, in run seconds; also records the groups."""
        evaluated: dict[str, tuple[float, float]] = {}
        for raw in groups:
            group = _Group.read(raw, self.clock)
            known = self._groups.get(group.key)
            for alert in group.alerts:
                last_s, interval_s = evaluated.get(alert, (float("inf"), 0.0))
                evaluated[alert] = (min(last_s, group.last_s), max(interval_s, group.interval_s))
            if known is None or group.differs(known) or group.last_s - known.last_s >= _EVALUATION_EVERY_S:
                self._groups[group.key] = group
                self.record(
                    EVALUATION,
                    group.name,
                    {
                        "last_s": round(group.last_s, 3) if math.isfinite(group.last_s) else None,
                        "interval_s": group.interval_s,
                        "health": group.health,
                        "error": group.error,
                    },
                )
        return evaluated

    def _read_targets(self, targets: list[Mapping[str, Any]]) -> None:
        """A target that is no longer discovered is gone: nobody need wait for it to be up again."""
        found = {(str(each.get("scrapePool")), str(each["labels"].get("instance"))) for each in targets}
        for key in sorted(self._targets.keys() - found):
            del self._targets[key]
            self.record(TARGET, key[0], {"instance": key[1], "health": "gone", "error": ""})
        for target in targets:
            key = (str(target.get("scrapePool")), str(target["labels"].get("instance")))
            health = str(target["health"])
            if self._targets.get(key) != health:
                self._targets[key] = health
                error = str(target.get("lastError") or "")[:300]
                self.record(TARGET, key[0], {"instance": key[1], "health": health, "error": error})


@dataclass(frozen=True, slots=True)
class _Group:
    """One rule group as the API shows it; ``last_s`` is minus infinity before its first evaluation."""

    key: str
    name: str
    last_s: float
    interval_s: float
    health: str
    error: str
    alerts: tuple[str, ...]

    @classmethod
    def read(cls, raw: Mapping[str, Any], clock: RunClock) -> _Group:
        rules = raw["rules"]
        worst = min((str(rule["health"]) for rule in rules), key=("err", "unknown", "ok").index, default="unknown")
        errors = sorted({str(rule["lastError"]) for rule in rules if rule.get("lastError")})
        # A group's own time stamp is when its last evaluation began, which is also its samples' time but for a few ms.
        last = str(raw["lastEvaluation"])
        return cls(
            key=f"{raw['file']};{raw['name']}",
            name=str(raw["name"]),
            last_s=-math.inf if last.startswith(_NEVER) else clock.from_unix(datetime.fromisoformat(last).timestamp()),
            interval_s=float(raw["interval"]),
            health=worst,
            error="; ".join(errors)[:500],
            alerts=tuple(str(rule["name"]) for rule in rules if rule.get("type") == "alerting"),
        )

    def differs(self, other: _Group) -> bool:
        return (self.health, self.error, self.alerts) != (other.health, other.error, other.alerts)


def _brief(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:300]
