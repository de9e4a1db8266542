"""What a command tells on standard output."""

from __future__ import annotations

import os
import sys

import click


def show(text: str) -> None:
    """Prints it, if there is still a reader: one who has seen enough must not change the command's exit code."""
    try:
        click.echo(text)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
