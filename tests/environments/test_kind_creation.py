"""What goes on while kind makes a cluster: docker, kind and kubectl are scripts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from harness.clock import wait_until
from harness.environments.kube.kind_cluster import KindCluster, nodes_for_pods
from harness.errors import HarnessError
from tests.environments.fake_programs import on_path

CONFIG = {"kind": "Cluster", "nodes": [{"role": "control-plane"}, {"role": "worker"}]}
# Each tells of its call, in a folder in which `begun` and `loaded` are files.
KIND = """\
#!/bin/sh
cd %s && echo "$*" >> told
case $1 in create) touch begun; %s;; load) touch "$TMPDIR/archive" && [ -e run/images-*/archive ] && %s;; esac
"""
DOCKER = """\
#!/bin/sh
cd %s && echo "docker $*" >> told
case $1 in exec) [ -e begun ] || exit 1; %s;; esac
"""
KUBECTL = """\
#!/bin/sh
cd %s && [ -e begun ] && echo "readyz check passed"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with on_path(tmp_path / "bin", monkeypatch):
        yield tmp_path


def make(folder: Path, *, watch: Callable[[], None] = lambda: None) -> list[str]:
    """The calls that came while the cluster was made."""
    run = folder / "run"
    run.mkdir()
    cluster = KindCluster("c", run / "kubeconfig")
    try:
        cluster.create(CONFIG, run, image=None, pod_images=["own:1"], progress=lambda text: None, watch=watch)
    finally:
        assert [path.name for path in run.iterdir() if path.name.startswith("images-")] == []
    return (folder / "told").read_text(encoding="utf-8").splitlines()


def programs(folder: Path, *, create: str, load: str, docker: str = "true") -> None:
    texts = {"kind": KIND % (folder, create, load), "docker": DOCKER % (folder, docker), "kubectl": KUBECTL % folder}
    for name, text in texts.items():
        (folder / "bin" / name).write_text(text, encoding="utf-8")
        (folder / "bin" / name).chmod(0o755)


def until(path: str) -> str:
    return f"for n in $(seq 200); do [ -e {path} ] && break; sleep 0.05; done; [ -e {path} ] || exit 1"


def test_nodes_that_take_pods_get_their_images_as_soon_as_their_runtime_answers(folder: Path) -> None:
    programs(folder, create=until("loaded"), load="touch loaded")
    told = make(folder)
    assert told.index("docker exec c-worker ctr version") < [line.split()[0] for line in told].index("create")
    assert told[-1] == "load docker-image own:1 --name c --nodes c-worker"


def test_a_cluster_that_is_made_does_not_wait_for_a_runtime_that_never_answers(folder: Path) -> None:
    programs(folder, create=until("asked"), load="touch loaded", docker="touch asked; exit 1")
    assert not any(line.startswith("load") for line in make(folder))


def test_images_that_cannot_be_loaded_yet_do_not_end_the_making(folder: Path) -> None:
    programs(folder, create=until("tried"), load="touch tried; exit 1")
    assert make(folder)[-1].startswith("load")


@pytest.mark.parametrize("failing", [True, False], ids=["kind fails", "the user ends it"])
def test_nothing_of_the_loading_is_left_when_the_making_ends_early(folder: Path, failing: bool) -> None:
    # What kind starts outlives it, unless it is ended too.
    programs(
        folder, create=until("loading") + ("; exit 1" if failing else "; sleep 60"), load="touch loading; sleep 60"
    )
    before = psutil.Process().children(recursive=True)

    def watch() -> None:
        if not failing and (folder / "loading").exists():
            raise KeyboardInterrupt

    with pytest.raises(HarnessError if failing else KeyboardInterrupt):
        make(folder, watch=watch)
    wait_until(
        lambda: set(psutil.Process().children(recursive=True)) <= set(before), what="all have ended", timeout_s=5
    )


@pytest.mark.parametrize(
    ("roles", "names"),
    [
        (["control-plane", "worker", "worker"], ["c-worker", "c-worker2"]),
        (["control-plane", "control-plane"], ["c-control-plane", "c-control-plane2"]),
        ([], ["c-control-plane"]),
    ],
)
def test_nodes_for_pods_have_the_names_kind_gives_them(roles: list[str], names: list[str]) -> None:
    assert nodes_for_pods("c", {"nodes": [{"role": role} for role in roles]}) == names
