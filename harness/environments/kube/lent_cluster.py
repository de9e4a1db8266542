"""A cluster that exists, of which some namespaces were lent to the harness."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.environments.kube.kubectl import Kubectl
from harness.environments.kube.shared_gpu import gpu_of_nodes
from harness.environments.kube.source import ClusterChoice, Progress, Watch
from harness.environments.kube.vocabulary import ALLOWED
from harness.errors import HarnessError, InputError, Mistake


class ContextSource:
    """A cluster that exists, by a context of the user's kubeconfig; only the namespaces it was lent are touched."""

    environment = "kube"
    cluster = ""
    keep = True
    lent = True

    def __init__(self, choice: ClusterChoice, run_dir: Path) -> None:
        """Raises InputError without a context or namespaces."""
        require_lent(choice)
        self.context = str(choice.context)
        self.kubeconfig = run_dir / "cluster.kubeconfig"
        self.gpu_file: Path | None = None
        self.own_namespace = choice.namespaces[0]
        self._namespaces = choice.namespaces

    def plan(self) -> list[str]:
        """What would be used."""
        return [f"use the cluster of context {self.context}, in the namespaces {', '.join(self._namespaces)} only"]

    def open(self, namespaces: Sequence[str], *, progress: Progress, watch: Watch) -> Kubectl:
        """The cluster, once every namespace is seen to be lent."""
        admin = self._copy_kubeconfig()
        self._require_lent(admin, namespaces)
        self.gpu_file = gpu_of_nodes(admin)
        progress(f"using the cluster of context {self.context}")
        return admin

    def give(self, images: Sequence[str], *, everywhere: bool, progress: Progress) -> None:
        """Nothing can be given: nodes pull what they run, or have it."""
        if images:
            progress(f"{len(images)} images have to be on the cluster's nodes already: {', '.join(images)}")

    def entry(self) -> str:
        """Never any: who lends a cluster opens no ports of it."""
        raise HarnessError("--load-outside needs a cluster of kind's")

    def versions(self) -> dict[str, str]:
        """Nothing beyond what runs there."""
        return {}

    def _copy_kubeconfig(self) -> Kubectl:
        """The context alone, in a file of the run's: what the user's own file says later changes nothing here."""
        own = Path(os.environ.get("KUBECONFIG", "").partition(os.pathsep)[0] or Path.home() / ".kube" / "config")
        view = Kubectl(own, self.context).run("config", "view", "--minify", "--flatten", "-o", "yaml")
        self.kubeconfig.touch(mode=0o600)
        self.kubeconfig.write_bytes(view)
        return Kubectl(self.kubeconfig, self.context)

    def _require_lent(self, admin: Kubectl, namespaces: Sequence[str]) -> None:
        found = {each["metadata"]["name"]: each["metadata"].get("labels") or {} for each in _namespaces(admin)}
        mistakes = []
        for name in sorted({*namespaces, *self._namespaces}):
            if name not in self._namespaces:
                problem = (
                    f"the stack has pods in {name}, which was not named; nothing outside the named ones is touched"
                )
                mistakes.append(Mistake("--namespace", "", problem))
            elif name not in found:
                mistakes.append(Mistake("--namespace", "", f"the cluster has no namespace {name}"))
            elif found[name].get(ALLOWED) != "true":
                problem = f"{name} is not lent to the harness: kubectl label namespace {name} {ALLOWED}=true"
                mistakes.append(Mistake("--namespace", "", problem))
        if mistakes:
            raise InputError(mistakes)


def require_lent(choice: ClusterChoice) -> None:
    """Raises InputError where it is not said which cluster and which of its namespaces may be used."""
    mistakes = []
    if not choice.context:
        mistakes.append(Mistake("--context", "", "is missing: name the context of the cluster to use"))
    if not choice.namespaces:
        problem = f"is missing: name each namespace the harness may act in; it must have the label {ALLOWED}=true"
        mistakes.append(Mistake("--namespace", "", problem))
    if choice.load_outside:
        problem = "needs a cluster of kind's, whose nodes have a port on this machine; here load comes from pods"
        mistakes.append(Mistake("--load-outside", "", problem))
    if mistakes:
        raise InputError(mistakes)


def _namespaces(admin: Kubectl) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = admin.get("namespaces")["items"]
    return found
