"""The words of the project as types: events, experiments, expectations, verdicts, results, pods and processes."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
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
    cpu_waited: float | None = None  # share of the time, 0-1, in which something waited for a processor


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
