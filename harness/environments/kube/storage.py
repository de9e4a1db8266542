"""Where a cluster puts what a pod keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.environments.kube.kubectl import Kubectl

_DEFAULT = "storageclass.kubernetes.io/is-default-class"
# Makes directories that belong to root, and pays no heed to a pod's fsGroup.
_ROOT_OWNED = "kubernetes.io/host-path"


@dataclass(frozen=True, slots=True)
class Storage:
    """The cluster's storage classes; ``default`` and its ``provisioner`` are None where it has no default one."""

    default: str | None
    provisioner: str | None
    classes: frozenset[str]

    @property
    def root_owned(self) -> bool:
        """Whether the default class's volumes can be written by root only."""
        return self.provisioner == _ROOT_OWNED

    def choose(self, wanted: str | None) -> str | None:
        """The class a claim gets: the one it names, or the default one where the cluster has none of that name."""
        return wanted if wanted in self.classes else self.default


def read_storage(kubectl: Kubectl) -> Storage:
    """The storage of a cluster. Raises HarnessError when it cannot be asked."""
    found: list[Mapping[str, Any]] = kubectl.get("storageclasses")["items"]
    default = next((each for each in found if each["metadata"].get("annotations", {}).get(_DEFAULT) == "true"), None)
    return Storage(
        default["metadata"]["name"] if default else None,
        default["provisioner"] if default else None,
        frozenset(each["metadata"]["name"] for each in found),
    )
