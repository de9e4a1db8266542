"""Options that say where a stack runs, and what a command gets of them."""

from __future__ import annotations

from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from harness.cli.options import place_options


@click.command()
@place_options
def shows(place: Any) -> None:
    click.echo(f"{place.environment}: {place.ready_within_s:g} s")


def shown(*arguments: str) -> Result:
    return CliRunner().invoke(shows, arguments)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "local: 60 s"),
        (("--environment", "kind"), "kind: 300 s"),
        (("--environment", "kube"), "kube: 300 s"),
        (("--ready-timeout", "5"), "local: 5 s"),
        (("--environment", "kind", "--ready-timeout", "1200"), "kind: 1200 s"),
    ],
)
def test_pods_have_the_time_that_was_asked_for_or_that_is_usual_there(arguments: tuple[str, ...], says: str) -> None:
    assert shown(*arguments).output.strip() == says


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "soon"])
def test_a_time_that_is_none_is_refused(text: str) -> None:
    refused = shown("--ready-timeout", text)
    assert refused.exit_code == 2
    assert "--ready-timeout" in refused.output
