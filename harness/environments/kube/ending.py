"""Takes a cluster environment down: from the process that made it, or from any other."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import product
from pathlib import Path

from harness.environments.kube.api_proxy import ApiProxy
from harness.environments.kube.clearing import clear_pods
from harness.environments.kube.kind_cluster import KindCluster
from harness.environments.kube.kinds import OPERATOR_GROUP, lies_in_namespace
from harness.environments.kube.kubectl import Kubectl
from harness.environments.kube.state import ClusterState
from harness.environments.kube.vocabulary import MANAGED
from harness.errors import HarnessError

_DELETE_S = 300.0
# With all that belongs to it, and not before that is gone too.
_GONE = ("--cascade=foreground", "--wait=true", f"--timeout={_DELETE_S:g}s")
# What a cluster certainly knows of what a stack and the harness make outside of any namespace, and in those of others.
_CLUSTER_SCOPED = (
    *("ClusterRole.rbac.authorization.k8s.io", "ClusterRoleBinding.rbac.authorization.k8s.io"),
    *("StorageClass.storage.k8s.io", "PriorityClass.scheduling.k8s.io", "PersistentVolume"),
)
_NAMESPACED = (
    *("Deployment.apps", "StatefulSet.apps", "DaemonSet.apps", "Job.batch", "CronJob.batch", "Pod", "Service"),
    *("Endpoints", "ConfigMap", "Secret", "PersistentVolumeClaim", "ServiceAccount", "LimitRange", "ResourceQuota"),
    *("Role.rbac.authorization.k8s.io", "RoleBinding.rbac.authorization.k8s.io", "PodDisruptionBudget.policy"),
    *("NetworkPolicy.networking.k8s.io", "Ingress.networking.k8s.io", "HorizontalPodAutoscaler.autoscaling"),
)
# What kubectl says of a kind that the cluster does not know: then nothing of it was made.
_UNKNOWN_KIND = "doesn't have a resource type"


def take_down(state: ClusterState) -> None:
    """The cluster is gone, or all that was put into one that is kept or somebody else's. May be called again.

    Raises HarnessError when something could not be removed; all the rest is tried first.
    """
    failures: list[str] = []
    if state.proxy_pid:
        with _told(failures):
            ApiProxy(state.proxy, state.proxy_pid, state.proxy_started).stop()
    with _told(failures):
        if state.cluster and not state.keep:
            KindCluster(state.cluster, Path(state.kubeconfig)).delete()
        elif Path(state.kubeconfig).exists():
            _remove_made(state)
    # Both are copies of the run's own; the administrator's is what another attempt would need.
    for path in (state.account_kubeconfig, *([] if failures else [state.kubeconfig])):
        with _told(failures):
            Path(path).unlink(missing_ok=True)
    if state.gpu_file:
        with _told(failures):
            # The directory itself is shown by the nodes of a cluster that goes on.
            Path(state.gpu_file).unlink(missing_ok=True)
            if not state.keep:
                shutil.rmtree(Path(state.gpu_file).parent, ignore_errors=True)
    if failures:
        raise HarnessError("; ".join(failures))
    with suppress(OSError):  # the run's directory may be gone with all else
        replace(state, ended=True).save()


@contextmanager
def _told(failures: list[str]) -> Iterator[None]:
    """What goes wrong inside is added to the failures, and the rest is tried."""
    try:
        yield
    except (HarnessError, OSError, subprocess.SubprocessError) as error:
        failures.append(str(error))


def _remove_made(state: ClusterState) -> None:
    """Deletes by the run's label: namespaces that carry it as a whole, in others just what was made there.

    In a cluster that was lent nothing was made outside the lent namespaces, and nobody may look there.
    """
    admin = Kubectl(Path(state.kubeconfig), state.context)
    chosen = f"{MANAGED}={state.run_label}"
    failures: list[str] = []
    own: set[str] = set()
    if not state.lent:
        with _told(failures):
            own = {each["metadata"]["name"] for each in admin.get("namespaces", "-l", chosen)["items"]}
        for kinds in _apart(state.kinds, _CLUSTER_SCOPED):
            with _told(failures):
                _delete(admin, kinds, "-l", chosen, "--wait=false")
    namespaces = (*state.namespaces, *state.beyond)
    # An operator makes anew what is gone while its own objects are there.
    for namespace, kind in product(namespaces, filter(_is_operators, state.kinds)):
        with _told(failures):
            _delete(admin, kind, "-l", chosen, *_GONE, namespace=namespace)
    others = [each for each in namespaces if each not in own]
    for cascade, group in (("orphan", [each for each in namespaces if each in own]), ("background", others)):
        with _told(failures):
            clear_pods(admin, group, chosen, cascade=cascade)
    further = [kind for kind in state.kinds if not _is_operators(kind)]
    for namespace, kinds in product(others, _apart(further, _NAMESPACED)):
        with _told(failures):
            _delete(admin, kinds, "-l", chosen, *_GONE, namespace=namespace)
    if own:
        with _told(failures):
            _delete(admin, "namespaces", *sorted(own), *_GONE)
    if failures:
        raise HarnessError("; ".join(failures))


def _apart(made: Iterable[str], known: Sequence[str]) -> list[str]:
    """The known kinds, for one call, and for one each those of the same scope that were made beside them."""
    in_namespace = lies_in_namespace(known[0])
    further = [kind for kind in made if lies_in_namespace(kind) == in_namespace and kind not in (*known, "Namespace")]
    return [",".join(known), *further]


def _is_operators(kind: str) -> bool:
    return kind.endswith(f".{OPERATOR_GROUP}")


def _delete(admin: Kubectl, kinds: str, *which: str, namespace: str | None = None) -> None:
    """Raises HarnessError; not for a single kind that the cluster does not know."""
    where = ("-n", namespace) if namespace else ()
    try:
        admin.run(*where, "delete", kinds, *which, "--ignore-not-found", timeout_s=_DELETE_S + 10)
    except HarnessError as error:
        if "," in kinds or _UNKNOWN_KIND not in str(error):
            raise
