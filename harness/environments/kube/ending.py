"""Takes a cluster environment down: from the process that made it, or from any other."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from harness.environments.kube.api_proxy import ApiProxy
from harness.environments.kube.clearing import clear_pods
from harness.environments.kube.kind_cluster import KindCluster
from harness.environments.kube.kubectl import Kubectl
from harness.environments.kube.state import ClusterState
from harness.environments.kube.vocabulary import MANAGED
from harness.errors import HarnessError

_DELETE_S = 300.0
# With all that belongs to it, and not before that is gone too.
_GONE = ("--cascade=foreground", "--wait=true", f"--timeout={_DELETE_S:g}s")
# What the harness makes outside of any namespace.
_CLUSTER_SCOPED = "clusterroles,clusterrolebindings,storageclasses,priorityclasses"
# What a stack and the harness put into namespaces that are somebody else's.
_NAMESPACED = (
    "deployments,statefulsets,daemonsets,jobs,pods,services,endpoints,configmaps,secrets,persistentvolumeclaims,"
    "serviceaccounts,roles,rolebindings,networkpolicies,ingresses,horizontalpodautoscalers,poddisruptionbudgets,cronjobs"
)


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
    calls: list[tuple[str, ...]] = []
    if not state.lent:
        with _told(failures):
            own = {each["metadata"]["name"] for each in admin.get("namespaces", "-l", chosen)["items"]}
        calls.append(("delete", _CLUSTER_SCOPED, "-l", chosen, "--wait=false"))
    namespaces = (*state.namespaces, *state.beyond)
    others = [each for each in namespaces if each not in own]
    for cascade, group in (("orphan", [each for each in namespaces if each in own]), ("background", others)):
        with _told(failures):
            clear_pods(admin, group, chosen, cascade=cascade)
    for namespace in others:
        calls.append(("-n", namespace, "delete", _NAMESPACED, "-l", chosen, "--ignore-not-found", *_GONE))
    if own:
        calls.append(("delete", "namespaces", *sorted(own), "--ignore-not-found", *_GONE))
    for call in calls:
        with _told(failures):
            admin.run(*call, timeout_s=_DELETE_S + 10)
    if failures:
        raise HarnessError("; ".join(failures))
