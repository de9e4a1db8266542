"""The stretch of a timeline that belongs to one experiment, and the questions every check asks of it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.model import Event

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Window:
    """The events of a run and the half-open span ``[begin_s, end_s)`` of one phase in it.

    ``interrupted``: somebody ended the run inside it, so what is missing at its end proves nothing.
    """

    events: tuple[Event, ...]
    name: str
    begin_s: float
    end_s: float
    interrupted: bool = False

    def of_kind(self, kind: str, name: str | None = None) -> Iterator[Event]:
        """The events of this kind that were written within the span."""
        for event in self.events:
            if event.kind == kind and name in (None, event.name) and self.begin_s <= event.t_s < self.end_s:
                yield event

    def faults(self, *statuses: str) -> list[Event]:
        """The faults' events with one of these statuses, within the span."""
        return [event for event in self.of_kind("fault") if event.data["status"] in statuses]

    def faults_by_name(self) -> Mapping[str, Mapping[str, Event]]:
        """For each fault in the span the latest event of each status."""
        found: dict[str, dict[str, Event]] = {}
        for event in self.of_kind("fault"):
            found.setdefault(event.name, {})[str(event.data["status"])] = event
        return found

    def faults_without(self, status: str) -> list[str]:
        """The names of the faults in the span that have no event of this status."""
        return [name for name, seen in self.faults_by_name().items() if status not in seen]


def windows(events: Sequence[Event]) -> Mapping[str, Window]:
    """Every phase's window by name; a phase without an end reaches to the last event."""
    found: dict[str, Window] = {}
    everything = tuple(events)
    last_s = max((event.t_s for event in everything), default=0.0)
    for event in everything:
        if event.kind != "phase":
            continue
        if event.data["status"] == "begin":
            found[event.name] = Window(everything, event.name, event.t_s, last_s + 1e-6, interrupted=True)
        elif event.name in found:
            begun = found[event.name]
            cut = bool(event.data.get("interrupted"))
            found[event.name] = Window(everything, event.name, begun.begin_s, event.t_s, interrupted=cut)
    return found


def finite(value: Any) -> float | None:
    """A number of the record; None where it was not observed or is NaN or infinite, which the record keeps as text."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


@dataclass(frozen=True, slots=True)
class StateChange:
    """An alert's state from one of Prometheus's evaluations on; ``seq`` is the event it was read from."""

    state: str
    at_s: float
    seq: int


@dataclass(frozen=True, slots=True)
class AlertHistory:
    """The states of one alert instance over the whole run, in the order of their evaluations."""

    labels: Mapping[str, str]
    changes: tuple[StateChange, ...]

    @property
    def name(self) -> str:
        """The alert rule's name."""
        return self.labels["alertname"]

    def state_at(self, t_s: float) -> StateChange | None:
        """The last change up to this time; None before the first."""
        return max((change for change in self.changes if change.at_s <= t_s), key=lambda each: each.at_s, default=None)

    def first(self, state: str, *, since_s: float, until_s: float = float("inf")) -> StateChange | None:
        """The first change into this state at or after ``since_s`` and before ``until_s``."""
        return next(
            (change for change in self.changes if change.state == state and since_s <= change.at_s < until_s), None
        )

    def fired_within(self, since_s: float, until_s: float) -> bool:
        """Whether it was firing at any time in this span."""
        at_begin = self.state_at(since_s)
        if at_begin is not None and at_begin.state == "firing":
            return True
        return self.first("firing", since_s=since_s, until_s=until_s) is not None


def alert_histories(events: Iterable[Event]) -> tuple[AlertHistory, ...]:
    """Every alert instance that Prometheus showed, by its labels. A state whose time is no number shows nothing."""
    changes: dict[Labels, list[StateChange]] = {}
    for event in events:
        at_s = finite(event.data.get("at_s")) if event.kind == "rule" else None
        if at_s is not None:
            labels = tuple(sorted(event.data["labels"].items()))
            changes.setdefault(labels, []).append(StateChange(event.data["state"], at_s, event.seq))
    return tuple(
        AlertHistory(dict(labels), tuple(sorted(each, key=lambda change: change.at_s)))
        for labels, each in changes.items()
    )
