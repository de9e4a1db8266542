"""What is put into a cluster, and which namespaces are made for it."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from harness.environments.images import ResolvedImage
from harness.environments.kube.installation import Installation
from harness.environments.kube.state import ClusterState
from harness.environments.kube.storage import Storage
from harness.environments.kube.vocabulary import MANAGED
from harness.stack import Stack, load_stack
from tests.environments.stacks import merged

EXISTING = frozenset({"default", "kube-node-lease", "kube-public", "kube-system"})


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Stack:
    return load_stack(merged(tmp_path_factory.mktemp("stack")))


def installed(stack: Stack, root: Path, existing: Collection[str], *, lent: bool = False) -> list[Any]:
    namespaces = tuple(sorted({each.namespace for each in stack.workloads}))
    state = ClusterState(
        environment="kind",
        run_dir=str(root / "run-1"),
        stack="",
        stack_sha256="",
        time_scale=60.0,
        seed=1,
        cluster="" if lent else "c",
        keep=lent,
        kubeconfig="",
        context="",
        account_kubeconfig="",
        namespaces=namespaces,
        own_namespace="monitoring" if lent else "harness",
        lent=lent,
        gpu="",
        gpu_file="",
    )
    installation = Installation(stack, {}, state, own=ResolvedImage("own:1", None, False))
    objects, _ = installation.objects(Storage(None, None, frozenset()), discovers=True, existing=existing)
    return objects


def namespaces(objects: list[Any]) -> list[str]:
    return sorted(each["metadata"]["name"] for each in objects if each["kind"] == "Namespace")


def test_a_namespace_that_exists_is_not_made_and_so_never_gets_the_runs_label(stack: Stack, tmp_path: Path) -> None:
    objects = installed(stack, tmp_path, EXISTING)
    assert namespaces(objects) == ["harness", "model-serving", "monitoring", "training"]
    (service,) = [each for each in objects if (each["kind"], each["metadata"]["name"]) == ("Service", "kubelet")]
    assert service["metadata"]["namespace"] == "kube-system"
    assert service["metadata"]["labels"][MANAGED] == "run-1"


def test_a_written_namespace_that_exists_is_left_as_it_is(stack: Stack, tmp_path: Path) -> None:
    objects = installed(stack, tmp_path, {*EXISTING, "monitoring", "harness"})
    assert namespaces(objects) == ["model-serving", "training"]


def test_in_a_lent_cluster_nothing_lies_outside_of_what_was_lent(stack: Stack, tmp_path: Path) -> None:
    objects = installed(stack, tmp_path, EXISTING, lent=True)
    assert namespaces(objects) == []
    assert {each["metadata"].get("namespace") for each in objects} == {"model-serving", "monitoring", "training"}
    assert not any(each["metadata"]["name"] == "kubelet" for each in objects)
