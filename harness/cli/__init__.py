"""The command ``harness``: reads arguments, shows progress, prints results, and turns outcomes into exit codes."""

from __future__ import annotations

import io
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

import click

from harness import __version__
from harness.cli.certifying import certify
from harness.cli.environments import down, heal, status, up
from harness.cli.options import EXIT, EXIT_BAD_INPUT, EXIT_HARNESS_FAILED
from harness.cli.records import check, report
from harness.cli.stacks import init, list_all
from harness.errors import HarnessError, InputError
from harness.model import Verdict


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
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
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a character still gets all others
    sys.exit(_exit_code(lambda: cli.main(standalone_mode=False)))


def _exit_code(command: Callable[[], Any]) -> int:
    try:
        return int(command() or 0)
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
    except BrokenPipeError:  # whoever read the output has seen enough; the rest has nowhere to go
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        where = f"{error.filename}: " if error.filename else "while writing below the run's directory: "
        click.echo(f"the harness failed: {where}{error.strerror or error}", err=True)
        return EXIT_HARNESS_FAILED
    except Exception:  # noqa: BLE001 - whatever it is, the exit code must say that the harness failed, not the stack
        traceback.print_exc()
        return EXIT_HARNESS_FAILED
    return EXIT_BAD_INPUT
