"""The words of the project as types: events, experiments, expectations, verdicts, and what the spec says of alerts."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any


class Verdict(enum.Enum):
    """What a check found. Merging takes the worst; no evidence is UNKNOWN, never PASS."""

    PASS = "PASS"
    UNKNOWN = "UNKNOWN"
    FAIL = "FAIL"

    @staticmethod
    def merge(verdicts: Iterable[Verdict]) -> Verdict:
        """The worst of the verdicts; UNKNOWN when there is none."""
        order = [Verdict.PASS, Verdict.UNKNOWN, Verdict.FAIL]
        return max(verdicts, key=order.index, default=Verdict.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of the timeline.

    ``t_s``: monotonic seconds since the run began, when the entry was written. ``wall_unix_s``: the same instant as
    wall time. What ``data`` holds for each ``kind`` stands in ``harness/evidence/events.py``.
    """

    seq: int
    t_s: float
    wall_unix_s: float
    kind: str
    name: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Fault:
    """A disturbance an experiment asks for, as its file states it. ``duration_s`` is spec time; None: until undone."""

    name: str
    kind: str
    target: str
    duration_s: float | None
    params: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Expectation:
    """One thing that must hold. ``bound_s`` is spec time and only ever tightens the bound the spec gives."""

    kind: str
    params: Mapping[str, Any]
    bound_s: float | None = None


@dataclass(frozen=True, slots=True)
class Experiment:
    """A Chaos Toolkit file: ``name`` is the file's stem, ``document`` the parsed file as Chaos Toolkit runs it."""

    name: str
    title: str
    path: str
    sha256: str
    faults: tuple[Fault, ...]
    expectations: tuple[Expectation, ...]
    allowed_alerts: tuple[str, ...]
    document: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class CheckResult:
    """A verdict with its evidence.

    ``experiment``: the experiment's name, or ``baseline``. ``check``: what was checked, e.g. ``alert DiskFilling:
    notified``. ``measured`` and ``limit`` are in ``unit``; None means not observed, or no such limit.
    ``evidence``: sequence numbers of timeline events.
    """

    experiment: str
    check: str
    verdict: Verdict
    measured: float | None
    limit: float | None
    unit: str
    summary: str
    evidence: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of a run, in seconds since it began; ``end_s`` is None when the run ended inside it."""

    name: str
    start_s: float
    end_s: float | None


@dataclass(frozen=True, slots=True)
class Covered:
    """Of one kind of thing in the stack, what the run proved and what it did not, and why where that needs a word."""

    proved: tuple[str, ...]
    unproved: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RunResult:
    """A run, judged. ``versions`` maps a program to the version it reported; ``gpu`` is ``simulated`` or a name."""

    run_id: str
    verdict: Verdict
    results: tuple[CheckResult, ...]
    phases: tuple[Phase, ...]
    versions: Mapping[str, str]
    seed: int
    time_scale: float
    environment: str
    gpu: str
    not_exercised: tuple[str, ...]
    coverage: Mapping[str, Covered]  # "alerts", "receivers", "routes", "inhibition_rules", "panels"
    stack: Mapping[str, str]  # "path" and "sha256"
    experiments: tuple[Mapping[str, str], ...]  # "name", "title", "path", "sha256" of each
    interrupted: str | None = None  # why the run ended early


@dataclass(frozen=True, slots=True)
class AlertSpec:
    """What the stack says of one alert rule. All durations are spec time, in seconds.

    ``lookback_s``: how far back the expression reads: ranges, offsets and subqueries, nested ones added up.
    ``scrape_interval_s``: the longest among the targets it may read. ``metrics``: names the expression reads.
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
    """

    alerts: tuple[AlertSpec, ...]
    route: Route | None
    receivers: tuple[Receiver, ...]
    inhibit_rules: tuple[InhibitRule, ...] = ()
    external_labels: Mapping[str, str] = field(default_factory=dict)
    resend_delay_s: float = 60.0
    panels: tuple[Panel, ...] = ()

    def alert(self, name: str) -> tuple[AlertSpec, ...]:
        """Every rule with this alert name; several rules may share one."""
        return tuple(alert for alert in self.alerts if alert.name == name)


@dataclass(frozen=True, slots=True)
class PodAddress:
    """A pod as discovery sees it. ``ports`` maps the container's port names to numbers."""

    namespace: str
    name: str
    workload: str
    address: str
    labels: Mapping[str, str]
    ports: Mapping[str, int]
    container: str


@dataclass(frozen=True, slots=True)
class ProcessRef:
    """One process, told from a later one of the same number by when it started (clock ticks since boot).

    ``node``: whose process numbers these are, where an environment has several nodes.
    """

    pid: int
    started: float
    node: str = ""
