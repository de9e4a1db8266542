"""A node's containers from before the node is started until after it has ended."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from harness.environments.local.containers import NodePaths
from harness.environments.local.docker_layout import DockerLayout
from harness.environments.local.docker_pods import make_containers
from harness.environments.local.docker_watch import Watch, start_watch
from harness.environments.local.plan import NodePlan
from harness.stack.objects import Rendered


class ContainedPods:
    """The pods of one node that Docker runs: made before the node, started by it, gone with it."""

    def __init__(self, layout: DockerLayout, paths: NodePaths, run_dir: Path) -> None:
        self.layout = layout
        self._paths = paths
        self._run_dir = run_dir
        self._watch: Watch | None = None

    def make(self, plan: NodePlan, rendered: Mapping[str, Rendered], *, given: Mapping[str, str]) -> int:
        """What the node has to keep open for its containers to be kept. They are there then, and wait for the node.

        ``given``: what every container finds in its environment. Raises HarnessError.
        """
        self._watch = start_watch(self.layout.node, self._paths.root / "docker-watch.log")
        containers = self.layout.containers(self._paths, rendered, given=given)
        make_containers(self.layout.node, containers, self.layout.volumes(plan), run_dir=str(self._run_dir))
        self._watch.all_made()
        return self._watch.lifeline.held.fileno()

    def hand_over(self) -> None:
        """The node holds them from here on, and this process does not."""
        if self._watch is not None:
            self._watch.lifeline.release()

    def remove(self) -> None:
        """Nothing of them is left. Doing it again does nothing."""
        if self._watch is not None:
            self.layout.node.remove()
            self._watch.end()
            self._watch = None
