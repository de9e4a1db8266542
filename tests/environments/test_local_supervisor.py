"""What supervisord is told of a node, as supervisord itself reads it."""

from __future__ import annotations

from pathlib import Path

import pytest
from supervisor.options import ServerOptions

from harness.environments.local.addresses import lease_block
from harness.environments.local.plan import plan_node
from harness.stack import load_stack
from tests.environments.stacks import STACK
from tests.environments.test_local_containers import written


@pytest.mark.parametrize("name", ["run", "my run", "100%", "a ;b #c", 'it\'s "$HOME" \\ ~', "Läufe"])
def test_a_node_may_lie_in_a_directory_of_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    stack, block = load_stack(STACK), lease_block(1)
    with block.lease:
        plan = plan_node(stack, block)
    paths = written(stack, plan, tmp_path / name, None)
    monkeypatch.chdir(paths.root)  # where the node runs it
    options = ServerOptions()
    options.realize(["-c", str(paths.root / "supervisord.conf")])
    programs = [each for group in options.process_group_configs for each in group.process_configs]
    assert len(programs) == 1 + sum(len(pod.workload.containers) for pod in plan.pods)
    for program in programs:
        shell, script = program.command.split()
        assert (shell, Path(script).resolve()) == ("/bin/sh", paths.script(program.name))
        assert Path(program.stdout_logfile).resolve() == paths.log(program.name)
        assert Path(script).exists()
    assert Path(options.logfile).resolve() == paths.root / "supervisord.log"
    assert Path(options.pidfile).resolve() == paths.root / "supervisord.pid"
