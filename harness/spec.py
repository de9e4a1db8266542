"""What a stack says of alerts, routes, receivers and dashboards: the words that the checks hold the record against."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class AlertSpec:
    """What the stack says of one alert rule. All durations are spec time, in seconds.

    ``lookback_s``: how far back the expression reads: ranges, offsets and subqueries, nested ones added up.
    ``scrape_interval_s``: the longest among the targets it may read. ``metrics``: names the expression reads.
    ``counts_over_s``: for how long it goes on counting what has happened; 0 where nothing in it counts.
    ``is_heartbeat``: it always fires by design, since its expression reads neither series nor the clock.
    ``incompressible``: why the expression cannot be compressed in time; empty when it can.
    ``compared``: the part of the expression that it compares with the plain number ``threshold``; None without one.
    """

    name: str
    group: str
    expr: str
    for_s: float
    keep_firing_for_s: float
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    lookback_s: float
    scrape_interval_s: float
    evaluation_interval_s: float
    metrics: tuple[str, ...]
    incompressible: tuple[str, ...]
    compared: str | None = None
    threshold: float | None = None
    counts_over_s: float = 0.0
    is_heartbeat: bool = False


@dataclass(frozen=True, slots=True)
class Matcher:
    """One Alertmanager matcher; ``op`` is one of ``=``, ``!=``, ``=~``, ``!~``. An absent label matches as empty."""

    name: str
    op: str
    value: str

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether it holds for an alert's labels; regular expressions are anchored on both sides."""
        actual = labels.get(self.name, "")
        if self.op in ("=", "!="):
            return (actual == self.value) is (self.op == "=")
        return (re.fullmatch(self.value, actual) is not None) is (self.op == "=~")


@dataclass(frozen=True, slots=True)
class Route:
    """A node of Alertmanager's routing tree with the parent's settings already inherited. Durations: spec seconds.

    ``group_by`` holds label names; ``("...",)`` groups by all labels.
    """

    receiver: str
    group_by: tuple[str, ...]
    group_wait_s: float
    group_interval_s: float
    repeat_interval_s: float
    matchers: tuple[Matcher, ...]
    continues: bool
    routes: tuple[Route, ...]

    def resolve(self, labels: Mapping[str, str]) -> tuple[Route, ...]:
        """The routes an alert with these labels ends at, in Alertmanager's order: the first child that matches, and
        further ones while ``continue`` is set; a node none of whose children match takes the alert itself."""
        return tuple(self._resolve(labels))

    def _resolve(self, labels: Mapping[str, str]) -> Iterator[Route]:
        found = False
        for child in self.routes:
            if not all(matcher.matches(labels) for matcher in child.matchers):
                continue
            found = True
            yield from child._resolve(labels)
            if not child.continues:
                break
        if not found:
            yield self


@dataclass(frozen=True, slots=True)
class Receiver:
    """An Alertmanager receiver. ``send_resolved``: whether its integrations tell of resolution; None: it has none.

    ``captured``: integrations that would leave the machine and that a run redirects to its own receiver.
    """

    name: str
    send_resolved: bool | None
    integrations: tuple[str, ...]
    captured: tuple[str, ...] = ()


def _all_match(matchers: Iterable[Matcher], labels: Mapping[str, str]) -> bool:
    return all(matcher.matches(labels) for matcher in matchers)


@dataclass(frozen=True, slots=True)
class InhibitRule:
    """A source alert mutes a target alert while their ``equal`` labels agree."""

    source: tuple[Matcher, ...]
    target: tuple[Matcher, ...]
    equal: tuple[str, ...]

    def mutes(self, source: Mapping[str, str], target: Mapping[str, str]) -> bool:
        """Whether an alert with the first labels mutes one with the second, while it fires.

        Labels absent on both sides agree. An alert that matches both sides is not muted by one that does so too, so
        that none mutes itself (Alertmanager, inhibit/inhibit.go).
        """
        if not _all_match(self.source, source) or not _all_match(self.target, target):
            return False
        if _all_match(self.target, source) and _all_match(self.source, target):
            return False
        return all(source.get(name, "") == target.get(name, "") for name in self.equal)


# Below this, real networking and processes need the time, however short the stack's own durations become.
_MIN_PEER_TIMEOUT_S = 1.0


@dataclass(frozen=True, slots=True)
class Peers:
    """The replicas of an Alertmanager, which notify in turn; one waits ``timeout_s`` for each that is before it."""

    namespace: str
    workload: str
    count: int
    timeout_s: float

    @property
    def pods(self) -> tuple[str, ...]:
        """The pods' names."""
        return tuple(f"{self.workload}-{ordinal}" for ordinal in range(self.count))

    def real_timeout_s(self, time_scale: float) -> float:
        """The timeout they run with."""
        return max(_MIN_PEER_TIMEOUT_S, self.timeout_s / time_scale)

    def longest_wait_s(self, time_scale: float) -> float:
        """Real seconds that the last of them waits for all the others."""
        return (self.count - 1) * self.real_timeout_s(time_scale)


@dataclass(frozen=True, slots=True)
class Panel:
    """A dashboard's panel with the queries it asks, in spec time; ``problem``: why they cannot be asked, or empty."""

    dashboard: str
    title: str
    queries: tuple[str, ...]
    problem: str = ""

    @property
    def name(self) -> str:
        """Dashboard and title."""
        return f"{self.dashboard} / {self.title}"


@dataclass(frozen=True, slots=True)
class Spec:
    """What the checks hold the record against: the stack's own words on alerts, routes and receivers (spec time).

    ``external_labels``: what Prometheus adds to every alert it sends; its own ``ALERTS`` series do not show them.
    ``resend_delay_s``: how often Prometheus tells Alertmanager again of an alert that still fires.
    ``peers``: None where one Alertmanager notifies alone.
    """

    alerts: tuple[AlertSpec, ...]
    route: Route | None
    receivers: tuple[Receiver, ...]
    inhibit_rules: tuple[InhibitRule, ...] = ()
    external_labels: Mapping[str, str] = field(default_factory=dict)
    resend_delay_s: float = 60.0
    panels: tuple[Panel, ...] = ()
    peers: Peers | None = None

    @property
    def longest_evaluation_s(self) -> float:
        """The longest interval at which a group of alerts is evaluated; zero without any."""
        return max((alert.evaluation_interval_s for alert in self.alerts), default=0.0)

    def alert(self, name: str) -> tuple[AlertSpec, ...]:
        """Every rule with this alert name; several rules may share one."""
        return tuple(alert for alert in self.alerts if alert.name == name)
