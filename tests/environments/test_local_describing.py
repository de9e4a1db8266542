"""What a node says of itself: where its parts answer, and which files of its pods never change."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from harness.environments.local.addresses import lease_block
from harness.environments.local.describing import describe_node
from harness.environments.local.docker_layout import DockerLayout
from harness.environments.local.node import LocalNode
from harness.environments.local.plan import NodePlan, plan_node
from harness.environments.local.state import NodeState
from harness.environments.receiver import with_receiver
from harness.errors import HarnessError
from harness.stack import Stack, load_stack

SHIPPED = Path(__file__).resolve().parents[2] / "fixtures" / "stack"


def describe(
    stack: Stack,
    plan: NodePlan,
    run_dir: Path,
    *,
    versions: Mapping[str, str] | None = None,
    docker: DockerLayout | None = None,
) -> NodeState:
    """What a node of this plan says of itself."""
    return describe_node(
        stack,
        plan,
        run_dir=run_dir,
        address="127.9.0.1",
        password="x",
        gpu="simulated",
        time_scale=60,
        seed=1,
        versions=versions or {},
        docker=docker,
    )


def described(stack_dir: Path, run_dir: Path) -> NodeState:
    stack = load_stack(stack_dir)
    block = lease_block(1)
    with block.lease:
        return describe(stack, plan_node(with_receiver(stack), block), run_dir)


@pytest.mark.parametrize(
    ("settings", "path"),
    [("", ""), ("  portName: http", ""), ("  portName: ui\n  routePrefix: /team/x/", "/team/x")],
)
def test_web_interfaces_are_asked_where_the_manifest_has_them(tmp_path: Path, settings: str, path: str) -> None:
    stack = Path(shutil.copytree(SHIPPED, tmp_path / "stack"))
    for name, version in (("prometheus", "2.42.0"), ("alertmanager", "0.25.0")):
        text = (stack / f"{name}.yaml").read_text(encoding="utf-8")
        image = f"  image: prom/{name}:v{version}"
        assert image in text
        (stack / f"{name}.yaml").write_text(text.replace(image, f"{image}\n{settings}"), encoding="utf-8")
    state = described(stack, tmp_path)
    assert state.prometheus.partition(":9090")[2] == path
    assert [url.partition(":9093")[2] for url in state.alertmanagers] == [path] * 3
    assert state.prometheus.startswith("http://127.")


@pytest.mark.parametrize("sub_path", [True, False])
def test_a_config_map_that_a_container_has_by_sub_path_is_refused_as_in_a_cluster(
    tmp_path: Path, sub_path: bool
) -> None:
    stack = Path(shutil.copytree(SHIPPED, tmp_path / "stack"))
    whole, part = "mountPath: /config\n", "mountPath: /config/job.yaml\n              subPath: job.yaml\n"
    text = (stack / "training.yaml").read_text(encoding="utf-8")
    assert whole in text
    (stack / "training.yaml").write_text(text.replace(whole, part if sub_path else whole), encoding="utf-8")
    described(stack, tmp_path).save()
    node = LocalNode(NodeState.load(tmp_path))
    (pod,) = node.pods("training")
    if sub_path:
        with pytest.raises(HarnessError, match="mounts volume config by subPath"):
            node.config_source(pod.name, pod.namespace, "config", "job.yaml")
    else:
        assert node.config_source(pod.name, pod.namespace, "config", "job.yaml")["volume"] == "config"
