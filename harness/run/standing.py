"""Environments that stay up after the command that started them."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from harness.environments.local.environment import LocalEnvironment
from harness.environments.local.node import STATE_FILE, LocalNode, NodeState
from harness.errors import HarnessError, InputError, Mistake
from harness.run.interrupt import Interruption
from harness.stack import Stack

UP_TIMEOUT_S = 60.0
RUN_VARIABLE = "HARNESS_RUN"


def stand_up(stack: Stack, run_dir: Path, *, time_scale: float, seed: int, say: Callable[[str], None]) -> LocalNode:
    """The running node, which outlives this process. Nothing is left when it does not come up or is interrupted."""
    interruption = Interruption()
    environment = LocalEnvironment(stack, run_dir, time_scale=time_scale, seed=seed, dies_with_harness=False)
    with interruption.handled():
        try:
            return environment.up(timeout_s=UP_TIMEOUT_S, progress=say, watch=interruption.check)
        except BaseException:  # whatever ended it, an interruption included, nothing may be left standing
            environment.down()
            raise


def environment_of(run_dir: Path) -> LocalNode | None:
    """The environment of a run directory; None when it no longer runs. Raises HarnessError when none is described."""
    node = LocalNode(NodeState.load(run_dir))
    return node if node.alive() else None


def find_environment(reports: Path) -> LocalNode:
    """The running environment: the one ``HARNESS_RUN`` names, else the only one below ``reports``."""
    named = os.environ.get(RUN_VARIABLE)
    if named:
        node = LocalNode(NodeState.load(Path(named)))
        if not node.alive():
            raise HarnessError(f"{RUN_VARIABLE}={named}: its environment is not running")
        return node
    running = running_environments(reports)
    if not running:
        raise HarnessError(f"no environment is running below {reports}: start one with `harness up`")
    if len(running) > 1:
        names = ", ".join(node.state.run_dir for node in running)
        raise InputError([Mistake(RUN_VARIABLE, "", f"several environments are running, name one of: {names}")])
    return running[0]


def running_environments(reports: Path) -> tuple[LocalNode, ...]:
    """The environments below a directory of runs whose processes are alive, by the names of their directories."""
    nodes = []
    for path in sorted(reports.glob(f"*/{STATE_FILE}")):
        with suppress(HarnessError):  # one damaged directory must not hide the others
            nodes.append(LocalNode(NodeState.load(path.parent)))
    return tuple(node for node in nodes if node.alive())
