"""The summary a terminal shows at the end of a run: what fell short first to the eye, and why."""

from __future__ import annotations

import io
from collections.abc import Iterable

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from harness.model import CheckResult, RunResult, Verdict
from harness.report.characters import one_line
from harness.report.figures import figure, pair, spec_pair
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
    tally_covered,
)

_STYLES = {Verdict.PASS: "green", Verdict.UNKNOWN: "bold yellow", Verdict.FAIL: "bold red"}
_NAME_CHARACTERS = 60
_SUMMARY_CHARACTERS = 800
_EVIDENCE_SHOWN = 12


def to_text(result: RunResult, *, width: int = 100, colour: bool = False, report_path: str | None = None) -> str:
    """The summary, no line wider than ``width`` columns, with ANSI colours if wanted; it says the same without.

    ``report_path``: where the caller put the HTML report, named on the last line.
    """
    told = sections(result)
    screen = _Screen(width, colour)
    _print_head(screen, result)
    screen.heading("Experiments")
    screen.put(_experiments(told))
    screen.heading(_lives_heading(result.time_scale))
    _print_lives(screen, told, result.time_scale)
    screen.heading("What fell short")
    _print_shortfalls(screen, result)
    _print_scope(screen, result)
    if report_path is not None:
        screen.put(Text(f"\nreport: {one_line(report_path, _SUMMARY_CHARACTERS)}"), indent=0)
    return screen.text()


class _Screen:
    """Lays out on a given width without asking the real terminal or its environment anything."""

    def __init__(self, width: int, colour: bool) -> None:
        self._file = io.StringIO()
        self._console = Console(
            file=self._file,
            width=max(width, 30),
            force_terminal=colour,
            force_jupyter=False,
            color_system="standard" if colour else None,
            legacy_windows=False,
            markup=False,
            emoji=False,
            highlight=False,
            _environ={},
        )

    def heading(self, text: str) -> None:
        self.put(Text("\n" + text, style="bold"), indent=0)

    def put(self, what: RenderableType, *, indent: int = 2) -> None:
        self._console.print(Padding(what, (0, 0, 0, indent)), overflow="fold")

    def text(self) -> str:
        lines = self._file.getvalue().split("\n")
        return "\n".join(line.rstrip() for line in lines).strip("\n") + "\n"


def _print_head(screen: _Screen, result: RunResult) -> None:
    verdict = overall(result)
    screen.put(Text.assemble((verdict.value, _STYLES[verdict]), f"  {tally(result.results)}"), indent=0)
    if result.interrupted is not None:
        screen.put(Text(f"ended early: {one_line(result.interrupted, _SUMMARY_CHARACTERS)}", style="bold"), indent=0)
    warning = short_of_processors(result)
    if warning is not None:
        screen.put(Text(warning), indent=0)
    facts = {
        "run": result.run_id,
        "environment": result.environment,
        "GPU": result.gpu,
        "time scale": figure(result.time_scale, ""),
        "seed": str(result.seed),
    }
    line = "  ".join(f"{name} {one_line(value, _NAME_CHARACTERS)}" for name, value in facts.items())
    screen.put(Text(line), indent=0)


def _experiments(told: tuple[Section, ...]) -> RenderableType:
    if not told:
        return Text("none")
    table = Table.grid(padding=(0, 2))
    for section in told:
        table.add_row(
            _word(section.verdict),
            _name(section.name),
            Text(_took(section), no_wrap=True),
            Text(tally(section.checks)),
            _name(section.title),
        )
    return table


def _took(section: Section) -> str:
    if section.phase is None:
        return "not reached"
    return "not ended" if section.duration_s is None else f"{section.duration_s:.1f} s"


def _lives_heading(time_scale: float) -> str:
    if time_scale == 1:
        return "Alerts, their whole life (measured/limit)"
    return f"Alerts, their whole life (measured/limit in real time, below it in spec time: × {figure(time_scale, '')})"


def _print_lives(screen: _Screen, told: tuple[Section, ...], time_scale: float) -> None:
    """Each alert's name on a line of its own, never cut, and its six stages in columns below."""
    rows = [(section.name, life) for section in told for life in section.lives]
    if not rows:
        screen.put(Text("none was checked"))
    for experiment, life in rows:
        style = _STYLES[Verdict.PASS if life.is_whole else Verdict.UNKNOWN]
        where = f" in {one_line(experiment, _NAME_CHARACTERS)}: "
        screen.put(Text.assemble((one_line(life.alert, _NAME_CHARACTERS), "bold"), where, (life.claim, style)))
        table = Table.grid(padding=(0, 1), expand=True)
        for _ in STAGES:
            table.add_column(ratio=1)
        arrows = ("", *("→ " for _ in STAGES[1:]))
        table.add_row(*(Text(arrow + stage, style="dim") for arrow, stage in zip(arrows, STAGES, strict=True)))
        table.add_row(*(_stage(stage, time_scale) for stage in life.stages))
        screen.put(table, indent=4)


def _stage(check: CheckResult | None, time_scale: float) -> Text:
    if check is None:
        return Text("not checked", style="dim")
    figures = (
        pair(check.measured, check.limit, check.unit),
        spec_pair(check.measured, check.limit, check.unit, time_scale),
    )
    return Text("\n").join([_word(check.verdict), *(Text(text) for text in figures if text)])


def _print_shortfalls(screen: _Screen, result: RunResult) -> None:
    found = shortfalls(result)
    if not found:
        screen.put(Text("nothing" if result.results else "nothing was checked, so nothing is known"))
    for check in found:
        title = f"  {one_line(check.experiment, _NAME_CHARACTERS)}  {one_line(check.check, 2 * _NAME_CHARACTERS)}"
        screen.put(Text.assemble(_word(check.verdict), (title, "bold")))
        screen.put(Text(_figures(check, result.time_scale)), indent=6)
        screen.put(Text(one_line(check.summary, _SUMMARY_CHARACTERS)), indent=6)
        screen.put(Text(_evidence(check.evidence), style="dim"), indent=6)


def _figures(check: CheckResult, time_scale: float) -> str:
    spec = spec_pair(check.measured, check.limit, check.unit, time_scale)
    measured = figure(check.measured, check.unit, "not observed")
    line = f"measured: {measured}, limit: {figure(check.limit, check.unit, 'none')}"
    return f"{line} (spec time {spec})" if spec else line


def _evidence(numbers: tuple[int, ...]) -> str:
    if not numbers:
        return "evidence: none"
    more = f" and {len(numbers) - _EVIDENCE_SHOWN} more" if len(numbers) > _EVIDENCE_SHOWN else ""
    return "evidence: " + " ".join(f"#{number}" for number in numbers[:_EVIDENCE_SHOWN]) + more


def _print_scope(screen: _Screen, result: RunResult) -> None:
    alerts = covered(result, "alerts")
    screen.heading(f"Coverage: {tally_covered(alerts)} alerts proved")
    screen.put(Text(f"proved: {_listed(alerts.proved)}"))
    screen.put(Text(f"unproved: {_listed(alerts.unproved)}"))
    for kind, each in other_coverage(result):
        screen.put(Text(f"{kind}: {tally_covered(each)} proved"))
        for name in each.unproved:
            screen.put(Text(f"  unproved: {one_line(name, _SUMMARY_CHARACTERS)}"))
    screen.heading("Not exercised")
    for item in result.not_exercised or ("nothing was left out",):
        screen.put(Text(one_line(item, _SUMMARY_CHARACTERS)))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(one_line(name, _NAME_CHARACTERS) for name in names) or "none"


def _name(text: str) -> Text:
    return Text(one_line(text, _NAME_CHARACTERS))


def _word(verdict: Verdict) -> Text:
    return Text(verdict.value, style=_STYLES[verdict])
