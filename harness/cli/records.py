"""``harness check`` and ``harness report``: what a run left, judged and told again."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from harness.cli.options import EXIT
from harness.errors import HarnessError


@click.command()
@click.argument("run_dir", type=click.Path(path_type=Path, exists=True, file_okay=False))
def check(run_dir: Path) -> int:
    """Judges a run again from its evidence alone, and says whether that agrees with its result.json.

    \b
    Example:
      harness check reports/20260101-120000
    """
    from harness.report import to_text
    from harness.run.judgement import judge_directory
    from harness.run.reporting import differences

    result, _, _ = judge_directory(run_dir)
    click.echo(to_text(result, colour=sys.stdout.isatty()))
    different = differences(result, run_dir)
    if different:
        raise HarnessError("the evidence does not agree with result.json: " + "; ".join(different))
    click.echo("\nagrees with result.json")
    return EXIT[result.verdict]


@click.command()
@click.argument("run_dir", type=click.Path(path_type=Path, exists=True, file_okay=False))
def report(run_dir: Path) -> int:
    """Writes a run's reports again from its evidence.

    \b
    Example:
      harness report reports/20260101-120000
    """
    from harness.run.judgement import judge_directory
    from harness.run.reporting import write_reports

    result, events, spec = judge_directory(run_dir)
    click.echo(write_reports(result, events, spec, run_dir, colour=sys.stdout.isatty()))
    click.echo(f"\nreport: {run_dir / 'report.html'}")
    return EXIT[result.verdict]
