"""The command ``harness``: reads arguments, shows progress, prints results, and turns outcomes into exit codes."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from typing import Any

import click

from harness import __version__
from harness.cli.certifying import certify
from harness.cli.environments import down, heal, status, up
from harness.cli.options import EXIT, EXIT_BAD_INPUT, EXIT_HARNESS_FAILED
from harness.cli.output import outlast_readers
from harness.cli.records import check, report
from harness.cli.stacks import init, list_all
from harness.errors import HarnessError, InputError
from harness.model import Verdict


class Commands(click.Group):
    """Commands in which a broken pipe is an error. click takes each for a reader of the output who has left; those are
    outlasted, and so it is some program's that ended.
    """

    def invoke(self, ctx: click.Context) -> Any:
        """What the command returns. Raises HarnessError for a broken pipe."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise HarnessError("a program that the harness was speaking to has ended") from error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="harness")
def cli() -> None:
    """Proves that a stack's monitoring and recovery behave as specified, by breaking things under load.

    \b
    Exit codes: 0 PASS, 1 FAIL, 2 UNKNOWN, 3 bad input, 4 the harness itself failed.

    \b
    Examples:
      harness certify
      harness certify --stack deploy/monitoring --experiments experiments/disk.yaml
      harness up && chaos run experiments/model-volume-full.yaml; harness down
      harness init --stack deploy/monitoring
    """


for _command in (certify, up, status, down, heal, check, report, list_all, init):
    cli.add_command(_command)


def main() -> None:
    """The console entry point; ends the process with the exit code the outcome has."""
    outlast_readers()
    sys.exit(exit_code(cli, sys.argv[1:]))


def exit_code(command: click.Command, arguments: Sequence[str]) -> int:
    """Runs a command: the exit code of its outcome, which is told on standard error where it is no result."""
    try:
        return int(command.main(arguments, standalone_mode=False) or 0)
    except InputError as error:
        for mistake in error.mistakes:
            click.echo(f"error: {mistake}", err=True)
    except click.ClickException as error:
        error.show()
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return EXIT[Verdict.UNKNOWN]
    except HarnessError as error:
        click.echo(f"the harness failed: {error}", err=True)
        return EXIT_HARNESS_FAILED
    except OSError as error:
        where = f"{error.filename}: " if error.filename else "while writing below the run's directory: "
        click.echo(f"the harness failed: {where}{error.strerror or error}", err=True)
        return EXIT_HARNESS_FAILED
    except Exception:  # noqa: BLE001 - whatever it is, the exit code must say that the harness failed, not the stack
        traceback.print_exc()
        return EXIT_HARNESS_FAILED
    return EXIT_BAD_INPUT
