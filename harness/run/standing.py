"""Environments that stay up after the command that started them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from harness.environments.local.environment import LocalEnvironment
from harness.environments.local.node import LocalNode, NodeState
from harness.run.interrupt import Interruption
from harness.stack import Stack

UP_TIMEOUT_S = 60.0


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
