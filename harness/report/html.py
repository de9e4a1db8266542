"""``report.html``: one page that opens anywhere, offline, and says what the verdict rests on.

It loads nothing and runs nothing: no script at all, one style sheet that its own content policy names by its hash. Only
the timeline entries that a check cites or a chart's table names are on it, and no more than ``MOST_ENTRIES`` of them.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from harness.model import CheckResult, Event, RunResult
from harness.report.characters import clipped, visible
from harness.report.chart import LoadWindow, Moment, draw, load_windows, moments
from harness.report.figures import figure, pair, spec_duration, spec_pair
from harness.report.outline import (
    STAGES,
    Section,
    covered,
    other_coverage,
    overall,
    sections,
    short_of_processors,
    shortfalls,
    tally,
)
from harness.report.story import Story, tell
from harness.spec import Spec

MOST_ENTRIES = 2000
MOST_LINKS = 40
MOST_MOMENTS = 200
_ENTRY_CHARACTERS = 1500
_TEXT_CHARACTERS = 4000


@dataclass(frozen=True, slots=True)
class _Entry:
    """A timeline entry as the page quotes it."""

    seq: int
    t_s: float
    kind: str
    name: str
    data: str


@dataclass(frozen=True, slots=True)
class _Chapter:
    """A section with its chart; ``story`` is None when the record does not hold its phase."""

    number: int
    section: Section
    story: Story | None
    chart: Markup
    moments: tuple[Moment, ...]
    load: tuple[LoadWindow, ...]


def to_html(result: RunResult, events: Sequence[Event], spec: Spec) -> str:
    """The page. ``events`` is the whole timeline, in any order; what it lacks is said, not invented."""
    ordered = sorted(events, key=lambda event: event.seq)
    chapters = [_chapter(number, section, ordered, spec) for number, section in enumerate(sections(result), start=1)]
    entries = _entries(result.results, chapters, ordered)
    return _TEMPLATE.render(
        result=result,
        verdict=overall(result),
        machine=short_of_processors(result),
        chapters=chapters,
        shortfalls=shortfalls(result),
        alerts=covered(result, "alerts"),
        coverage=other_coverage(result),
        entries=entries,
        quoted=frozenset(entry.seq for entry in entries),
        recorded=len(ordered),
        css=_STYLE_SHEET,
        css_hash=_STYLE_HASH,
    )


def _chapter(number: int, section: Section, events: Sequence[Event], spec: Spec) -> _Chapter:
    story = tell(section.name, events, spec, alerts=[life.alert for life in section.lives])
    if story is None:
        return _Chapter(number, section, None, Markup(""), (), ())
    chart = draw(story, key=f"chart-{number}", title=f"{section.name} over time")
    return _Chapter(number, section, story, chart, moments(story), load_windows(story))


def _entries(checks: Iterable[CheckResult], chapters: Iterable[_Chapter], events: Iterable[Event]) -> list[_Entry]:
    """The entries to quote in the record's order; when there are too many, those that checks cite come first."""
    cited = dict.fromkeys(number for check in checks for number in check.evidence[:MOST_LINKS])
    tabled = dict.fromkeys(moment.seq for chapter in chapters for moment in chapter.moments[:MOST_MOMENTS])
    known = {event.seq: event for event in events}
    wanted = [number for number in {**cited, **tabled} if number in known][:MOST_ENTRIES]
    return [_entry(known[number]) for number in sorted(wanted)]


def _entry(event: Event) -> _Entry:
    text = json.dumps(dict(event.data), ensure_ascii=False, default=str)
    return _Entry(event.seq, event.t_s, event.kind, event.name, clipped(text, _ENTRY_CHARACTERS))


def _shown(value: Any) -> Any:
    """Every value the template prints passes here: plain text is made visible and bounded, markup is ours."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return clipped(visible(value), _TEXT_CHARACTERS)
    return value


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("harness.report"),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(figure=figure, pair=pair, spec_pair=spec_pair, spec_duration=spec_duration, tally=tally)
    environment.globals.update(stages=STAGES, most_links=MOST_LINKS, most_moments=MOST_MOMENTS)
    return environment


def _style_sheet() -> str:
    # A browser hashes the text after it has turned every line end into a single newline.
    text = (resources.files("harness.report") / "templates" / "report.css").read_text(encoding="utf-8")
    return "\n" + text.replace("\r\n", "\n")


_TEMPLATE = _environment().get_template("report.html")
_STYLE_SHEET = Markup(_style_sheet())
_STYLE_HASH = base64.b64encode(hashlib.sha256(_style_sheet().encode()).digest()).decode()
