"""What a kind cluster is given: docker, kind and kubectl are scripts."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.environments.kube.kind_cluster import KindCluster
from harness.environments.kube.made_cluster import KindSource
from harness.environments.kube.source import ClusterChoice
from tests.environments.fake_programs import FakeKubectl, Program

NODES = """{"items": [
  {"metadata": {"name": "c-control-plane"}, "spec": {"taints": [{"key": "node-role.kubernetes.io/control-plane"}]}},
  {"metadata": {"name": "c-worker"}, "spec": {}}]}"""


@pytest.mark.parametrize(("everywhere", "nodes"), [(False, ["c-worker"]), (True, ["c-control-plane", "c-worker"])])
def test_images_are_on_the_nodes_that_take_pods_or_on_all_of_them(
    programs: Path, tmp_path: Path, everywhere: bool, nodes: list[str]
) -> None:
    docker, kind = Program(programs, "docker"), Program(programs, "kind")
    kubectl = FakeKubectl(programs, tmp_path / "cluster.kubeconfig", "kind-c")
    docker.expects("version", "--format", "{{.Server.Version}}", out="27")
    if everywhere:
        kind.expects("get", "nodes", "--name", "c", out="c-control-plane\nc-worker\n")
    else:
        kubectl.asked("get", "nodes", "-o", "json", out=NODES)
    for node in nodes:
        docker.expects("exec", node, "ctr", "--namespace", "k8s.io", "images", "list", "--quiet", out="")
        kind.expects("load", "docker-image", "own:1", "--name", "c", "--nodes", node)
    said: list[str] = []
    source = KindSource(ClusterChoice(keep=True, name="c"), tmp_path)
    source.give(["own:1"], everywhere=everywhere, progress=said.append)
    assert said == [f"1 images are on {', '.join(nodes)}"]


def test_a_nodes_daemons_wait_for_its_pods_where_it_can_be_told(programs: Path, tmp_path: Path) -> None:
    docker, kind = Program(programs, "docker"), Program(programs, "kind")
    kind.expects("get", "nodes", "--name", "c", out="c-control-plane\nc-worker\n")
    told = ("systemctl", "set-property", "--runtime", "system.slice", "CPUWeight=30")
    docker.expects("exec", "c-control-plane", *told, err="no systemctl", code=127)
    docker.expects("exec", "c-worker", *told)
    KindCluster("c", tmp_path / "kubeconfig").put_pods_first()
