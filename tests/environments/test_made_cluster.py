"""What a kind cluster is given: docker, kind and kubectl are scripts."""

from __future__ import annotations

import json
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


def test_a_packet_to_a_service_without_a_rule_ends_at_its_node(programs: Path, tmp_path: Path) -> None:
    docker, kind = Program(programs, "docker"), Program(programs, "kind")
    kubectl = FakeKubectl(programs, tmp_path / "kubeconfig", "kind-c")
    settings = "networking: {podSubnet: 10.244.0.0/16, serviceSubnet: '10.96.0.0/16,fd00::/112'}"
    answer = json.dumps({"data": {"ClusterConfiguration": settings}})
    kubectl.asked("get", "configmap", "kubeadm-config", "-n", "kube-system", "-o", "json", out=answer)
    for program, network in (("iptables", "10.96.0.0/16"), ("ip6tables", "fd00::/112")):
        kind.expects("get", "nodes", "--name", "c", out="c-control-plane\nc-worker\n")
        rule = f"FORWARD -d {network} -j DROP"
        script = f"{program} -w 10 -C {rule} 2>/dev/null || {program} -w 10 -I {rule}"
        docker.expects("exec", "c-control-plane", "sh", "-c", script, err="no iptables", code=127)
        docker.expects("exec", "c-worker", "sh", "-c", script)
    KindCluster("c", tmp_path / "kubeconfig").keep_service_packets()


def test_a_cluster_that_does_not_tell_its_service_networks_is_left_as_it_is(programs: Path, tmp_path: Path) -> None:
    Program(programs, "docker"), Program(programs, "kind")
    kubectl = FakeKubectl(programs, tmp_path / "kubeconfig", "kind-c")
    kubectl.asked("get", "configmap", "kubeadm-config", "-n", "kube-system", "-o", "json", err="not found", code=1)
    KindCluster("c", tmp_path / "kubeconfig").keep_service_packets()
