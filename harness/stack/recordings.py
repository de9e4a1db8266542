"""What an expression reads through recording rules: their ranges and their clocks are its own too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.stack import promql, promql_clock


@dataclass(frozen=True, slots=True)
class Recording:
    """One recording rule's expression, and how often it is evaluated, in seconds of spec time."""

    expr: str
    interval_s: float


# The rules that record each name; several may share one.
Recordings = Mapping[str, Sequence[Recording]]


def read_through(expr: str, recordings: Recordings) -> tuple[str, ...]:
    """The expression and, each once, those of the recording rules it reads, directly or through others."""
    read = {expr: None}
    for recording in _behind(expr, recordings):
        for each in read_through(recording.expr, _without(recording, recordings)):
            read.setdefault(each)
    return tuple(read)


def lookback_s(expr: str, recordings: Recordings) -> float:
    """How far back the expression reads, in seconds, with what lies behind recorded series.

    What a rule records is as old as the rule's own reading back, and up to one of its evaluations older.
    """
    behind = (
        recording.interval_s + lookback_s(recording.expr, _without(recording, recordings))
        for recording in _behind(expr, recordings)
    )
    return promql.lookback_s(expr) + max(behind, default=0.0)


def counts_over_s(expr: str, recordings: Recordings) -> float:
    """For how long the expression goes on counting what has happened, in seconds; 0 where nothing in it counts."""
    through = read_through(expr, recordings)
    if len(through) == 1:
        return promql.counts_over_s(expr)
    return lookback_s(expr, recordings) if any(map(promql.counts_over_s, through)) else 0.0


def incompressible(expr: str, recordings: Recordings) -> tuple[str, ...]:
    """Why compressing it, or a rule it reads, would change its meaning; empty when it would not."""
    through = read_through(expr, recordings)
    clocks = [name for name in recordings if any(map(promql_clock.reads_clock, read_through(name, recordings)))]
    return tuple(dict.fromkeys(reason for each in through for reason in promql_clock.incompressible(each, clocks)))


def _behind(expr: str, recordings: Recordings) -> Iterator[Recording]:
    for metric in promql.metrics_of(expr):
        yield from recordings.get(metric, ())


def _without(recording: Recording, recordings: Recordings) -> Recordings:
    """The others: a rule may read what it records itself, which must not be followed for ever."""
    return {name: [each for each in those if each is not recording] for name, those in recordings.items()}
