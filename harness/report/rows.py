"""The rows of a chart as SVG: states as bars, moments as marks, measurements as lines.

No meaning rests on colour: pending is low and hollow, firing high and filled; a firing notice is a filled triangle, a
resolved one an open circle; second and further lines of a curve are dashed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from markupsafe import Markup

from harness.report.axis import Axis, value_range
from harness.report.characters import one_line
from harness.report.curves import Curve, Line, Point
from harness.report.figures import figure
from harness.report.story import Mark, Span, Track

TRACK_HEIGHT = 44
CURVE_HEIGHT = 112

_CAPTION_Y = 15
_BAR_Y = 22
_BAR_HEIGHT = 14
_PLOT_HEIGHT = 76
# A nested drawing with a scale of its own; it is stretched to the width, the width of its lines is not.
_PLOT_WIDTH_UNITS = 1000
_NAME_CHARACTERS = 46
_NOTE_CHARACTERS = 90

# Centred on the origin, about ten pixels wide.
_SHAPES = {
    "triangle": "M0,-6L6,5H-6Z",
    "down": "M0,6L6,-5H-6Z",
    "circle": "M5,0A5,5 0 1 1 -5,0A5,5 0 1 1 5,0Z",
    "cross": "M-5,-5L5,5M-5,5L5,-5",
    "tick": "M0,-7V7",
}
_FAULT_SHAPES = {
    "injected": "down",
    "effect": "circle",
    "undone": "triangle",
    "no-effect": "cross",
    "undo-failed": "cross",
    "not-cleared": "cross",
}
_NOTICE_SHAPES = {"firing": "triangle", "resolved": "circle"}
_BARS = {"fault": (0, _BAR_HEIGHT), "firing": (0, _BAR_HEIGHT), "pending": (4, 6), "inactive": (6, 2)}


def track_row(track: Track, axis: Axis, top: int) -> Markup:
    """A caption, the line of the row, its states and its marks."""
    middle = top + _BAR_Y + _BAR_HEIGHT // 2
    parts = [
        _caption(f"{track.kind} {track.name}", _track_note(track), top),
        Markup('<line class="rail" x1="0" x2="100%" y1="{0}" y2="{0}"/>').format(middle),
        *(_bar(span, axis, top) for span in track.spans),
        *(_mark(track.kind, mark, axis, middle) for mark in track.marks),
    ]
    return Markup('<g class="row {}">{}</g>').format(track.kind, Markup("").join(parts))


def curve_row(curve: Curve, axis: Axis, top: int) -> Markup:
    """A caption, the lines, the threshold, and the two ends of the scale; numbers lie on top of the lines."""
    low, high = value_range([*curve.values, *([] if curve.threshold is None else [curve.threshold])])
    plot_top = top + _BAR_Y
    bottom = plot_top + _PLOT_HEIGHT
    rail = Markup('<line class="rail" x1="0" x2="100%" y1="{0}" y2="{0}"/>')
    parts = [_caption(curve.title, _curve_note(curve), top), rail.format(plot_top), rail.format(bottom)]
    parts.append(_plot(curve, axis, plot_top, low, high))
    if curve.threshold is not None:
        y_px = plot_top + _PLOT_HEIGHT * (high - curve.threshold) / (high - low)
        parts.append(_threshold(curve.threshold, round(y_px, 1), plot_top))
    for value, y_px in ((high, plot_top + 12), (low, bottom - 4)):
        label = Markup('<text class="scale" x="100%" y="{}" text-anchor="end">{}</text>')
        parts.append(label.format(y_px, figure(value, curve.shown_unit)))
    return Markup('<g class="row curve">{}</g>').format(Markup("").join(parts))


def _track_note(track: Track) -> str:
    totals: dict[str, float] = {}
    for span in track.spans:
        totals[span.state] = totals.get(span.state, 0.0) + span.to_s - span.from_s
    lengths = [f"{state} {total:.1f} s" for state, total in totals.items() if state != "inactive"]
    omitted = [f"{track.omitted} more marks not drawn"] if track.omitted else []
    if track.kind == "fault":
        lengths = [length.replace("fault", "in for", 1) for length in lengths]
    return "; ".join(part for part in (", ".join(lengths), track.note, *omitted) if part)


def _curve_note(curve: Curve) -> str:
    most = f"at most {figure(max(curve.values), curve.shown_unit)}" if curve.values else "nothing observed"
    against = "" if curve.threshold is None else f"threshold {figure(curve.threshold, curve.shown_unit)}"
    return ", ".join(part for part in (most, against) if part)


def _caption(name: str, note: str, top: int) -> Markup:
    return Markup(
        '<text class="caption" x="0" y="{}"><tspan class="name">{}</tspan><tspan class="note" dx="8">{}</tspan></text>'
    ).format(top + _CAPTION_Y, one_line(name, _NAME_CHARACTERS), one_line(note, _NOTE_CHARACTERS))


def _bar(span: Span, axis: Axis, top: int) -> Markup:
    offset, height = _BARS.get(span.state, _BARS["inactive"])
    css = span.state if span.state in _BARS else "inactive"
    left, right = axis.percent(span.from_s), axis.percent(span.to_s)
    tip = f"{span.state} from {span.from_s:.2f} s to {span.to_s:.2f} s"
    return Markup('<rect class="bar {}" x="{}%" y="{}" width="{}%" height="{}"><title>{}</title></rect>').format(
        css, left, top + _BAR_Y + offset, round(right - left, 3), height, one_line(tip, 120)
    )


def _mark(kind: str, mark: Mark, axis: Axis, middle: int) -> Markup:
    shapes = _NOTICE_SHAPES if kind == "receiver" else _FAULT_SHAPES if kind == "fault" else {}
    shape = shapes.get(mark.state, "tick")
    return Markup(
        '<svg class="mark {}" x="{}%" y="{}" overflow="visible" width="1" height="1"><path d="{}"/>'
        "<title>{}</title></svg>"
    ).format(shape, axis.percent(mark.at_s), middle, _SHAPES[shape], f"{one_line(mark.what, 200)}, {mark.at_s:.2f} s")


def _threshold(threshold: float, y_px: float, plot_top: int) -> Markup:
    has_room_above = y_px > plot_top + 14
    return Markup(
        '<line class="threshold" x1="0" x2="100%" y1="{y}" y2="{y}"/>'
        '<text class="scale" x="2" y="{text}">threshold {label}</text>'
    ).format(y=y_px, text=y_px - 4 if has_room_above else y_px + 13, label=figure(threshold, ""))


def _plot(curve: Curve, axis: Axis, plot_top: int, low: float, high: float) -> Markup:
    lines = []
    for number, line in enumerate(curve.lines):
        for stretch in _stretches(line):
            places = _places(stretch, axis, low, high)
            lines.append(_path(places, area=curve.unit == "ratio", dashed=number > 0))
    return Markup(
        '<svg x="0" y="{}" width="100%" height="{}" viewBox="0 0 {} {}" preserveAspectRatio="none">{}</svg>'
    ).format(plot_top, _PLOT_HEIGHT, _PLOT_WIDTH_UNITS, _PLOT_HEIGHT, Markup("").join(lines))


def _stretches(line: Line) -> Iterable[list[Point]]:
    """The points between the holes: a line across a hole would claim what nobody saw."""
    stretch: list[Point] = []
    for point in line.points:
        if point.value is None:
            if stretch:
                yield stretch
            stretch = []
        else:
            stretch.append(point)
    if stretch:
        yield stretch


def _places(stretch: Sequence[Point], axis: Axis, low: float, high: float) -> list[tuple[float, float]]:
    places = []
    for point in stretch:
        y = _PLOT_HEIGHT * (high - (point.value or 0.0)) / (high - low)
        for at_s in dict.fromkeys((point.from_s, point.to_s)):
            places.append((round(axis.percent(at_s) * _PLOT_WIDTH_UNITS / 100, 1), round(y, 1)))
    # A single sample has no length; a short stroke keeps it in sight.
    return places if len(places) > 1 else [places[0], (places[0][0] + 3, places[0][1])]


def _path(places: Sequence[tuple[float, float]], *, area: bool, dashed: bool) -> Markup:
    drawn = "M" + "L".join(f"{x:g},{y:g}" for x, y in places)
    line = Markup('<path class="line{}" d="{}" vector-effect="non-scaling-stroke"/>').format(
        " dashed" if dashed else "", drawn
    )
    if not area:
        return line
    closed = f"{drawn}L{places[-1][0]:g},{_PLOT_HEIGHT}L{places[0][0]:g},{_PLOT_HEIGHT}Z"
    return Markup('<path class="area" d="{}"/>{}').format(closed, line)
