"""A cluster that exists, of which some namespaces were lent to the harness."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from harness.environments.kube.kubectl import Kubectl
from harness.environments.kube.shared_gpu import gpu_of_nodes
from harness.environments.kube.source import ClusterChoice, Progress, Watch
from harness.environments.kube.vocabulary import ALLOWED, MANAGED, Manifest
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

    def open(self, namespaces: Sequence[str], *, images: Sequence[str], progress: Progress, watch: Watch) -> Kubectl:
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


def require_free(admin: Kubectl, objects: Sequence[Manifest], run: str) -> None:
    """Raises InputError naming all that is there already under the name of one of these objects, or of a claim that
    one would take up, and is not of this ``run``: kubectl would take it over, and the end of the run delete it.

    Nothing is touched. Raises HarnessError when the cluster cannot be asked.
    """
    wanted = [*objects, *(claim for each in objects for claim in _claims(each))]
    mistakes = []
    for each in admin.existing(wanted):
        metadata = each["metadata"]
        of = (metadata.get("labels") or {}).get(MANAGED)
        if of != run:
            advice = (
                f"is there already, of the run {of}: `harness down` with its directory removes it"
                if of
                else "is there already and is not the harness's; lend a namespace in which the stack does not run"
            )
            mistakes.append(
                Mistake("--namespace", metadata["namespace"], f"{each['kind']} {metadata['name']} {advice}")
            )
    if mistakes:
        raise InputError(mistakes)


def _claims(manifest: Manifest) -> Iterator[Manifest]:
    """The claims that a StatefulSet's pods would use as they find them, with what is on their volumes."""
    if manifest["kind"] != "StatefulSet":
        return
    metadata, spec = manifest["metadata"], manifest["spec"]
    for template in spec.get("volumeClaimTemplates", []):
        for number in range(spec.get("replicas", 1)):
            name = f"{template['metadata']['name']}-{metadata['name']}-{number}"
            where = {"name": name, "namespace": metadata["namespace"]}
            yield {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": where}


def _namespaces(admin: Kubectl) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = admin.get("namespaces")["items"]
    return found
