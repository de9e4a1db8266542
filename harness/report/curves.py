"""Load and sampled metrics of one experiment as curves; what was not observed stays a hole."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.latencies import Latencies
from harness.model import Event
from harness.report.readings import number, texts_of
from harness.spec import Spec

MOST_POINTS = 120
MOST_SAMPLE_CURVES = 4
MOST_LINES = 6


@dataclass(frozen=True, slots=True)
class Point:
    """A value holding from ``from_s`` to ``to_s`` (the same instant for a sample); None: not observed."""

    from_s: float
    to_s: float
    value: float | None


@dataclass(frozen=True, slots=True)
class Line:
    """One series of a curve."""

    name: str
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Curve:
    """Lines that share one scale, which starts at zero. ``unit`` is ``s``, ``ratio`` or empty.

    ``threshold``: the value a rule compares with, None where it does not end in a plain number.
    """

    title: str
    unit: str
    lines: tuple[Line, ...]
    threshold: float | None = None
    note: str = ""

    @property
    def shown_unit(self) -> str:
        """The unit to write behind a number; a ratio has none."""
        return "" if self.unit == "ratio" else self.unit

    @property
    def values(self) -> tuple[float, ...]:
        """All that was observed."""
        return tuple(point.value for line in self.lines for point in line.points if point.value is not None)


@dataclass(frozen=True, slots=True)
class _Window:
    from_s: float
    to_s: float
    requests: float
    errors: float
    latencies: Latencies


def load_curves(events: Iterable[Event]) -> tuple[Curve, ...]:
    """Request latency's 95th percentile and the error ratio in each window of load; nothing when there was no load.

    More windows than ``MOST_POINTS`` are merged with their neighbours by their counts, so both figures stay true.
    """
    windows = sorted(filter(None, map(_window, events)), key=lambda window: window.from_s)
    if not windows:
        return ()
    size = -(-len(windows) // MOST_POINTS)
    merged = [_merged(windows[start : start + size]) for start in range(0, len(windows), size)]
    latency = tuple(Point(w.from_s, w.to_s, w.latencies.quantile(0.95)) for w in merged)
    errors = tuple(Point(w.from_s, w.to_s, w.errors / w.requests if w.requests > 0 else None) for w in merged)
    return (
        Curve("Request latency, p95", "s", (Line("p95", latency),)),
        Curve("Error ratio", "ratio", (Line("errors", errors),)),
    )


def sample_curves(events: Iterable[Event], spec: Spec) -> tuple[Curve, ...]:
    """The metric each sampled alert looks at, one line a label set, with its rule's threshold."""
    series: dict[str, dict[tuple[tuple[str, str], ...], list[Point]]] = {}
    for event in events:
        at_s = number(event.data.get("at_s")) if event.kind == "sample" else None
        if at_s is None:
            continue
        labels = tuple(sorted(texts_of(event.data.get("labels")).items()))
        value = number(event.data.get("value"))
        series.setdefault(event.name, {}).setdefault(labels, []).append(Point(at_s, at_s, value))
    return tuple(_sample_curve(alert, lines, spec) for alert, lines in list(series.items())[:MOST_SAMPLE_CURVES])


def _sample_curve(alert: str, series: dict[tuple[tuple[str, str], ...], list[Point]], spec: Spec) -> Curve:
    rules = spec.alert(alert)
    thresholds = {rule.threshold for rule in rules if rule.threshold is None or math.isfinite(rule.threshold)}
    lines = tuple(
        Line(", ".join(f"{key}={value}" for key, value in labels) or "value", _thinned(points))
        for labels, points in list(series.items())[:MOST_LINES]
    )
    more = f"{len(series) - MOST_LINES} more series are not drawn." if len(series) > MOST_LINES else ""
    return Curve(
        title=f"What {alert} looks at",
        unit="",
        lines=lines,
        threshold=thresholds.pop() if len(thresholds) == 1 else None,
        note=" ".join(part for part in (*(f"Rule: {rule.expr}" for rule in rules), more) if part),
    )


def _thinned(points: Sequence[Point]) -> tuple[Point, ...]:
    """At most ``MOST_POINTS`` of them in order of time: the extreme of each stretch, as a mean would hide a peak."""
    ordered = sorted(points, key=lambda point: point.from_s)
    size = -(-len(ordered) // MOST_POINTS)
    stretches = (ordered[start : start + size] for start in range(0, len(ordered), size))
    return tuple(max(stretch, key=_height) for stretch in stretches)


def _height(point: Point) -> float:
    return float("-inf") if point.value is None else abs(point.value)


def _window(event: Event) -> _Window | None:
    if event.kind != "load":
        return None
    from_s, to_s = number(event.data.get("from_s")), number(event.data.get("to_s"))
    if from_s is None or to_s is None or to_s < from_s:
        return None
    try:
        latencies = Latencies.from_json(event.data.get("latency_buckets") or {})
    except (ValueError, AttributeError):
        # A window somebody else's record spoils is a hole in the curve; its entry can still be read as evidence.
        latencies = Latencies()
    requests, errors = number(event.data.get("requests")), number(event.data.get("errors"))
    return _Window(from_s, to_s, requests or 0.0, errors or 0.0, latencies)


def _merged(windows: Sequence[_Window]) -> _Window:
    return _Window(
        from_s=windows[0].from_s,
        to_s=max(window.to_s for window in windows),
        requests=sum(window.requests for window in windows),
        errors=sum(window.errors for window in windows),
        latencies=Latencies().merge(*(window.latencies for window in windows)),
    )
