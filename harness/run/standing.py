"""Environments that stay up after the command that started them."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from harness.environments.description import STATE_FILE
from harness.errors import HarnessError, InputError, Mistake
from harness.run.interrupt import Interruption
from harness.run.placing import ENVIRONMENTS, Place, make_environment
from harness.run.running import Running, attach
from harness.stack import Stack

RUN_VARIABLE = "HARNESS_RUN"


def stand_up(
    place: Place, stack: Stack, run_dir: Path, *, time_scale: float, seed: int, say: Callable[[str], None]
) -> Running:
    """The running environment, which outlives this process; nothing is left when it does not come up."""
    interruption = Interruption()
    environment = make_environment(place, stack, run_dir, time_scale=time_scale, seed=seed, dies_with_harness=False)
    with interruption.handled():
        try:
            return environment.up(timeout_s=place.ready_within_s, progress=say, watch=interruption.check)
        except BaseException:  # whatever ended it, an interruption included, nothing may be left standing
            environment.down()
            raise


def environment_of(run_dir: Path) -> Running | None:
    """The environment of a run directory; None when it no longer runs. Raises HarnessError when none is described."""
    environment = attach(run_dir)
    return environment if environment.alive() else None


def find_environment(reports: Path) -> Running:
    """The running environment: the one ``HARNESS_RUN`` names, else the only one below ``reports``."""
    named = os.environ.get(RUN_VARIABLE)
    if named:
        environment = attach(Path(named))
        if not environment.alive():
            raise HarnessError(f"{RUN_VARIABLE}={named}: its environment is not running")
        return environment
    running = running_environments(reports)
    if not running:
        raise HarnessError(f"no environment is running below {reports}: start one with `harness up`")
    if len(running) > 1:
        names = ", ".join(environment.state.run_dir for environment in running)
        raise InputError([Mistake(RUN_VARIABLE, "", f"several environments are running, name one of: {names}")])
    return running[0]


def described_in(run_dir: Path) -> tuple[Path, ...]:
    """The directories of a run that describe an environment: its own, or one below it for each of several."""
    directories = (run_dir, *(run_dir / name for name in ENVIRONMENTS))
    return tuple(each for each in directories if (each / STATE_FILE).is_file())


def described_below(reports: Path) -> tuple[Path, ...]:
    """The same of every run below a directory of runs, by their names; empty where there is no such directory."""
    return tuple(found for run in sorted(reports.glob("*")) for found in described_in(run))


def running_environments(reports: Path) -> tuple[Running, ...]:
    """The environments below a directory of runs whose processes are alive, by the names of their directories."""
    found = []
    for directory in described_below(reports):
        with suppress(HarnessError):  # one damaged directory must not hide the others
            found.append(attach(directory))
    return tuple(environment for environment in found if environment.alive())
