"""A terminal's Ctrl-C reaches all of its programs at once: the harness's own must live to take down and to undo."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.clock import wait_until
from harness.environments.images import ResolvedImage, build_images
from harness.environments.kube.discovery_probe import knows_kubernetes
from harness.environments.kube.entry import entry_address
from harness.environments.kube.environment import ClusterEnvironment
from harness.environments.kube.kind_cluster import KindCluster
from harness.environments.kube.kind_node import KindNode
from harness.environments.kube.kubectl import Kubectl
from harness.environments.kube.lent_cluster import ContextSource
from harness.environments.kube.source import ClusterChoice
from harness.environments.local import docker_daemon
from harness.environments.processes import process_started
from harness.errors import HarnessError
from harness.stack import load_stack

# Tells its number, its process group and its arguments, and then does what it is told to.
PROGRAM = """\
#!/bin/sh
read -r number _ _ _ group _ < /proc/$$/stat
echo "$number $group $*" >> "$(dirname "$0")/told"
%s
"""
PROMETHEUS = "{apiVersion: monitoring.coreos.com/v1, kind: Prometheus, metadata: {name: p, namespace: mon}, spec: {}}"
CALLS = {
    "kubectl": lambda: Kubectl(Path("config"), "c").run("version"),
    "a node": lambda: KindNode("node-1").run("true"),
    "kind": lambda: KindCluster("c", Path("config")).delete(),
    "docker": lambda: docker_daemon.run("rm", "x"),
    "the probe": lambda: knows_kubernetes("prometheus:1"),
    "the entry": lambda: entry_address("node-1"),
}
INTERRUPTIBLE = {
    "a build": lambda: build_images([ResolvedImage("x:1", Path("nowhere"), pull=False)], progress=print),
    "a pull": lambda: docker_daemon.run("pull", "x", interruptible=True),
    "a load": lambda: KindCluster("c", Path("config")).load(["x:1"], nodes=["node-1"]),
}

Call = Callable[[], object]


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Makes ``kubectl``, ``kind`` and ``docker`` that do this; the result is where they tell of themselves."""

    def made(what: str) -> Path:
        for name in ("kubectl", "kind", "docker"):
            (tmp_path / name).write_text(PROGRAM % what, encoding="utf-8")
            (tmp_path / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        return tmp_path / "told"

    return made


def told_by(told: Path) -> list[tuple[int, int, str]]:
    """(number, group, arguments) of each program that ran."""
    lines = [line.split(" ", 2) for line in told.read_text(encoding="utf-8").splitlines()]
    return [(int(number), int(group), arguments) for number, group, arguments in lines]


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_it_does_not_reach_what_the_harness_runs(programs: Callable[[str], Path], call: Call) -> None:
    told = programs("")
    with contextlib.suppress(HarnessError):  # nothing that these say is an answer
        call()
    assert told_by(told)
    assert [each for each in told_by(told) if each[1] == os.getpgid(0)] == []


@pytest.mark.parametrize("call", INTERRUPTIBLE.values(), ids=INTERRUPTIBLE)
def test_it_ends_what_takes_long_and_leaves_nothing_behind(programs: Callable[[str], Path], call: Call) -> None:
    told = programs('[ "$1" != image ]')
    with contextlib.suppress(HarnessError, FileNotFoundError):
        call()
    _, group, arguments = told_by(told)[-1]
    assert group == os.getpgid(0), arguments


@pytest.fixture
def heard() -> Iterator[None]:
    """SIGINT raises here, also where a shell that runs the tests in the background has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_signal_that_is_not_waited_for_ends_it(programs: Callable[[str], Path], call: Call) -> None:
    # More than a pipe holds: once it is written, the harness reads, and so waits.
    told = programs('head -c 200000 /dev/zero\nkill -INT "$PPID"\nexec sleep 60')
    with pytest.raises(KeyboardInterrupt):
        call()
    ((number, _, _),) = told_by(told)
    wait_until(lambda: process_started(number) is None, what="it has ended", timeout_s=10)


def test_a_build_that_it_ended_is_no_failed_build(programs: Callable[[str], Path], tmp_path: Path) -> None:
    programs("exit 130")
    (tmp_path / "stack").mkdir()
    (tmp_path / "stack" / "p.yaml").write_text(PROMETHEUS, encoding="utf-8")
    source = ContextSource(ClusterChoice(context="theirs", namespaces=("mon",)), tmp_path)
    stack = load_stack(tmp_path / "stack")
    environment = ClusterEnvironment(stack, tmp_path, source, images="offline", time_scale=60.0, seed=1)

    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        environment.up(timeout_s=1, watch=interrupted)
    with pytest.raises(HarnessError, match="docker version"):
        environment.up(timeout_s=1)
