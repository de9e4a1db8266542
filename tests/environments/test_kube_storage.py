"""What is read of a cluster's storage classes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.environments.kube.kubectl import Kubectl
from harness.environments.kube.storage import Storage, read_storage
from harness.errors import HarnessError
from tests.environments.fake_programs import FakeKubectl

GET = ("get", "storageclasses", "-o", "json")


@pytest.fixture
def kubectl(programs: Path, tmp_path: Path) -> FakeKubectl:
    return FakeKubectl(programs, tmp_path / "admin", "ctx")


@pytest.fixture
def admin(tmp_path: Path) -> Kubectl:
    return Kubectl(tmp_path / "admin", "ctx")


def storage_class(name: str, provisioner: str, default: str | None = None) -> dict[str, Any]:
    annotations = {"storageclass.kubernetes.io/is-default-class": default} if default else {"other": "true"}
    return {"metadata": {"name": name, "annotations": annotations}, "provisioner": provisioner}


@pytest.mark.parametrize(
    ("provisioner", "root_owned"), [("rancher.io/local-path", False), ("kubernetes.io/host-path", True)]
)
def test_the_default_class_and_whose_its_volumes_are(
    kubectl: FakeKubectl, admin: Kubectl, provisioner: str, root_owned: bool
) -> None:
    bare = {"metadata": {"name": "bare"}, "provisioner": "x"}
    classes = [bare, storage_class("not", "x", "false"), storage_class("standard", provisioner, "true")]
    kubectl.asked(*GET, out=json.dumps({"items": classes}))
    found = read_storage(admin)
    assert found == Storage("standard", provisioner, frozenset({"bare", "not", "standard"}))
    assert found.root_owned is root_owned


@pytest.mark.parametrize("classes", [[], [storage_class("a", "kubernetes.io/host-path")]])
def test_a_cluster_may_have_no_default_class(kubectl: FakeKubectl, admin: Kubectl, classes: list[Any]) -> None:
    kubectl.asked(*GET, out=json.dumps({"items": classes}))
    found = read_storage(admin)
    assert (found.default, found.provisioner, found.root_owned) == (None, None, False)
    assert found.classes == {each["metadata"]["name"] for each in classes}


def test_a_cluster_that_cannot_be_asked_is_an_error(kubectl: FakeKubectl, admin: Kubectl) -> None:
    kubectl.asked(*GET, err="Unable to connect", code=1)
    with pytest.raises(HarnessError, match="kubectl get storageclasses -o json: Unable to connect"):
        read_storage(admin)
