"""Reads all that a run is given before anything is touched."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.environments.local.programs import PROGRAMS, require_programs
from harness.errors import InputError, Mistake
from harness.experiment import load_experiments
from harness.model import Experiment
from harness.stack import Stack, load_stack


def require_environment() -> None:
    """Raises HarnessError naming the programs the local environment needs and this machine lacks."""
    require_programs(PROGRAMS)


def read_inputs(stack_dir: Path, experiment_paths: Sequence[Path]) -> tuple[Stack, tuple[Experiment, ...]]:
    """The stack and the experiments. Raises InputError with the mistakes of both."""
    mistakes: list[Mistake] = []
    stack = None
    experiments: tuple[Experiment, ...] = ()
    try:
        stack = load_stack(stack_dir)
    except InputError as error:
        mistakes += error.mistakes
    try:
        experiments = load_experiments(experiment_paths, stack.spec if stack else None)
    except InputError as error:
        mistakes += error.mistakes
    if mistakes or stack is None:
        raise InputError(mistakes)
    return stack, experiments
