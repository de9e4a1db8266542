"""What the timeline says of one experiment, as the tracks of a chart. Times are seconds since the run began."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.model import Event
from harness.report.curves import Curve, load_curves, sample_curves
from harness.report.readings import number, text_of, texts_of
from harness.spec import Spec

# More of a kind than this is counted, not drawn: a chart nobody can read proves nothing.
MOST_TRACKS = 16
MOST_MARKS = 150


@dataclass(frozen=True, slots=True)
class Span:
    """A state held from ``from_s`` until ``to_s``."""

    state: str
    from_s: float
    to_s: float


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened at an instant; ``seq`` is the event that says so."""

    state: str
    at_s: float
    what: str
    seq: int


@dataclass(frozen=True, slots=True)
class Track:
    """One row of the chart: a fault, an alert or a receiver. ``omitted`` counts marks beyond ``MOST_MARKS``."""

    kind: str
    name: str
    note: str
    spans: tuple[Span, ...]
    marks: tuple[Mark, ...]
    omitted: int = 0


@dataclass(frozen=True, slots=True)
class Story:
    """One experiment from the begin to the end of its phase. ``ended`` is False when the record stops inside it."""

    begin_s: float
    end_s: float
    ended: bool
    tracks: tuple[Track, ...]
    curves: tuple[Curve, ...]
    notes: tuple[str, ...]


def tell(name: str, events: Sequence[Event], spec: Spec, *, alerts: Iterable[str] = ()) -> Story | None:
    """The story of the experiment of this name; None when the record holds no begin of its phase.

    ``alerts`` are shown even when they never left inactive: that nothing happened is what a failed check speaks of.
    """
    begin = next((event for event in events if _is_phase(event, name, "begin")), None)
    if begin is None:
        return None
    end = next((event for event in events if event.seq > begin.seq and _is_phase(event, name, "end")), None)
    last = end or max(events, key=lambda event: event.seq)
    within = [event for event in events if begin.seq <= event.seq <= last.seq]
    window = (begin.t_s, max(last.t_s, begin.t_s + 0.001))
    rules, steady = _alert_tracks([event for event in events if event.seq <= last.seq], begin, window, tuple(alerts))
    tracks = [*_fault_tracks(within, window), *rules, *_receiver_tracks(within)]
    notes = [f"Firing all the while: {', '.join(steady)}."] if steady else []
    if len(tracks) > MOST_TRACKS:
        notes.append(f"{len(tracks) - MOST_TRACKS} more rows are in the record but not drawn.")
    return Story(
        begin_s=window[0],
        end_s=window[1],
        ended=end is not None,
        tracks=tuple(tracks[:MOST_TRACKS]),
        curves=(*load_curves(within), *sample_curves(within, spec)),
        notes=tuple(notes),
    )


def _is_phase(event: Event, name: str, status: str) -> bool:
    return event.kind == "phase" and event.name == name and event.data.get("status") == status


def _fault_tracks(within: Iterable[Event], window: tuple[float, float]) -> list[Track]:
    """A row for each fault; its span is from where it was in (or being put in) until it was undone."""
    faults: dict[str, list[Event]] = {}
    for event in within:
        if event.kind == "fault":
            faults.setdefault(event.name, []).append(event)
    tracks = []
    for name, moments in faults.items():
        at_s: dict[str, float] = {}
        for event in moments:
            at_s.setdefault(text_of(event.data.get("status")), event.t_s)
        start_s = at_s.get("injected", at_s.get("injecting"))
        spans = () if start_s is None else (Span("fault", start_s, at_s.get("undone", window[1])),)
        targets = {text_of(event.data.get("target")): None for event in moments if event.data.get("target")}
        undone = "" if "undone" in at_s or start_s is None else "not undone within the phase"
        note = "; ".join(part for part in (*(f"on {target}" for target in targets), undone) if part)
        tracks.append(_track("fault", name, note, spans, [_fault_mark(event) for event in moments]))
    return tracks


def _fault_mark(event: Event) -> Mark:
    status = text_of(event.data.get("status"))
    observed = event.data.get("observed")
    what = status if observed is None else f"{status}: {text_of(observed)}"
    return Mark(status, event.t_s, what, event.seq)


def _alert_tracks(
    events: Iterable[Event], begin: Event, window: tuple[float, float], named: tuple[str, ...]
) -> tuple[list[Track], list[str]]:
    """A row for each alert instance that changed or is asked for, and the names of those that fired all the while."""
    changes: dict[tuple[str, tuple[tuple[str, str], ...]], list[Mark]] = {}
    for event in events:
        at_s = number(event.data.get("at_s")) if event.kind == "rule" else None
        if at_s is not None:
            state = text_of(event.data.get("state"))
            labels = tuple(sorted(texts_of(event.data.get("labels")).items()))
            changes.setdefault((event.name, labels), []).append(Mark(state, at_s, state, event.seq))
    tracks, steady = [], []
    for (alert, labels), marks in changes.items():
        inside = [mark for mark in marks if mark.seq >= begin.seq]
        held = next((mark.state for mark in reversed(marks) if mark.seq < begin.seq), "inactive")
        if inside or (alert in named and held != "inactive"):
            note = ", ".join(f"{key}={value}" for key, value in labels if key not in ("alertname", "severity"))
            tracks.append(_track("alert", alert, note, _spans(held, inside, window), inside))
        elif held == "firing":
            steady.append(alert)
    shown = {track.name for track in tracks}
    silent = [
        Track("alert", alert, "stayed inactive", (Span("inactive", *window),), ())
        for alert in dict.fromkeys(named)
        if alert not in shown and alert not in steady
    ]
    return [*tracks, *silent], list(dict.fromkeys(steady))


def _spans(held: str, marks: Sequence[Mark], window: tuple[float, float]) -> tuple[Span, ...]:
    """The states between the changes, cut to the window: an evaluation lies a little before its event."""
    spans, state, since_s = [], held, window[0]
    for mark in [*marks, Mark("", window[1], "", 0)]:
        at_s = min(max(mark.at_s, since_s), window[1])
        if at_s > since_s:
            spans.append(Span(state, since_s, at_s))
        state, since_s = mark.state, at_s
    return tuple(spans)


def _receiver_tracks(within: Iterable[Event]) -> list[Track]:
    receivers: dict[str, list[Mark]] = {}
    for event in within:
        if event.kind == "notice":
            at_s = number(event.data.get("arrived_s"))
            status = text_of(event.data.get("status"))
            alert = text_of(event.data.get("alertname"))
            mark = Mark(status, event.t_s if at_s is None else at_s, f"{alert} {status}", event.seq)
            receivers.setdefault(event.name, []).append(mark)
    return [_track("receiver", name, "", (), marks) for name, marks in sorted(receivers.items())]


def _track(kind: str, name: str, note: str, spans: tuple[Span, ...], marks: list[Mark]) -> Track:
    return Track(kind, name, note, spans, tuple(marks[:MOST_MARKS]), max(0, len(marks) - MOST_MARKS))
