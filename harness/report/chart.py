"""An experiment's story as one SVG drawing on one time axis, with a title, a description and the same as a table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import Markup

from harness.report.axis import Axis
from harness.report.characters import one_line
from harness.report.curves import Curve
from harness.report.figures import figure
from harness.report.rows import CURVE_HEIGHT, TRACK_HEIGHT, curve_row, track_row
from harness.report.story import Story, Track

_AXIS_HEIGHT = 26
_DESCRIBED = 900


@dataclass(frozen=True, slots=True)
class Moment:
    """One line of the table beside a chart; ``seq`` is the event that says so."""

    at_s: float
    what: str
    seq: int


@dataclass(frozen=True, slots=True)
class LoadWindow:
    """One line of the load's table."""

    from_s: float
    to_s: float
    figures: tuple[str, ...]


def draw(story: Story, *, key: str, title: str) -> Markup:
    """The drawing. ``key`` makes its ids unique on the page.

    It holds no style of its own: classes, presentation attributes, and positions in per cent, so that text keeps its
    size while the axis takes the width there is.
    """
    axis = Axis(story.begin_s, story.end_s)
    rows, top = [], 4
    for track in story.tracks:
        rows.append(track_row(track, axis, top))
        top += TRACK_HEIGHT
    for curve in story.curves:
        rows.append(curve_row(curve, axis, top))
        top += CURVE_HEIGHT
    head = Markup('<title id="{key}-title">{title}</title><desc id="{key}-desc">{desc}</desc>')
    return Markup(
        '<svg class="chart" role="img" aria-labelledby="{key}-title {key}-desc" width="100%" height="{height}">'
        "{head}{bands}{grid}{rows}</svg>"
    ).format(
        key=key,
        height=top + _AXIS_HEIGHT,
        head=head.format(key=key, title=one_line(title, 200), desc=one_line(describe(story), _DESCRIBED)),
        bands=_joined(_bands(story.tracks, axis, top)),
        grid=_joined(_grid(axis, top)),
        rows=_joined(rows),
    )


def describe(story: Story) -> str:
    """The drawing in words."""
    parts = [f"From {story.begin_s:.1f} s to {story.end_s:.1f} s of the run."]
    for track in story.tracks:
        said = [f"{span.state} from {span.from_s:.1f} to {span.to_s:.1f} s" for span in track.spans]
        if track.kind == "receiver":
            said = [f"{mark.what} at {mark.at_s:.1f} s" for mark in track.marks]
        parts.append(f"{track.kind.capitalize()} {track.name}: {', '.join(said) or 'nothing'}.")
    parts.extend(f"{curve.title}: {_highest(curve)}." for curve in story.curves)
    return " ".join(parts)


def moments(story: Story) -> tuple[Moment, ...]:
    """All marks of the drawing in order of time."""
    found = [
        Moment(mark.at_s, f"{track.kind} {track.name}: {mark.what}", mark.seq)
        for track in story.tracks
        for mark in track.marks
    ]
    return tuple(sorted(found, key=lambda moment: (moment.at_s, moment.seq)))


def load_windows(story: Story) -> tuple[LoadWindow, ...]:
    """The load's curves side by side; empty when there was no load."""
    lines = [curve.lines[0].points for curve in story.curves if curve.unit]
    return tuple(
        LoadWindow(
            group[0].from_s,
            group[0].to_s,
            tuple(figure(point.value, curve.shown_unit) for point, curve in zip(group, story.curves, strict=False)),
        )
        for group in zip(*lines, strict=True)
    )


def _highest(curve: Curve) -> str:
    if not curve.values:
        return "nothing observed"
    against = "" if curve.threshold is None else f", threshold {figure(curve.threshold, curve.shown_unit)}"
    return f"at most {figure(max(curve.values), curve.shown_unit)}{against}"


def _bands(tracks: Iterable[Track], axis: Axis, bottom: int) -> Iterable[Markup]:
    """The time a fault was in, shaded through all rows: what happened in it is seen at a glance."""
    for track in tracks:
        for span in track.spans if track.kind == "fault" else ():
            left, right = axis.percent(span.from_s), axis.percent(span.to_s)
            yield Markup('<rect class="band" x="{}%" y="0" width="{}%" height="{}"/>').format(
                left, round(right - left, 3), bottom
            )


def _grid(axis: Axis, bottom: int) -> Iterable[Markup]:
    yield Markup('<line class="axis" x1="0" x2="100%" y1="{0}" y2="{0}"/>').format(bottom)
    for number, at_s in enumerate(axis.ticks()):
        x = axis.percent(at_s)
        anchor = "start" if x < 4 else "end" if x > 96 else "middle"
        yield Markup(
            '<g class="{css}"><line class="grid" x1="{x}%" x2="{x}%" y1="0" y2="{bottom}"/>'
            '<text x="{x}%" y="{text}" text-anchor="{anchor}">{label}</text></g>'
        ).format(
            css="tick minor" if number % 2 else "tick",
            x=x,
            bottom=bottom,
            text=bottom + 17,
            anchor=anchor,
            label=figure(at_s, "s"),
        )


def _joined(parts: Iterable[Markup]) -> Markup:
    return Markup("").join(parts)
