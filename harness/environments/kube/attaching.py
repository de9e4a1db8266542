"""Attaches to a cluster environment that some other process brought up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from harness.environments.kube.api_proxy import ApiProxy, start_proxy
from harness.environments.kube.cluster import Cluster, cluster_exists
from harness.environments.kube.kubectl import Kubectl
from harness.environments.kube.state import ClusterState
from harness.environments.kube.vocabulary import ACCOUNT


def attach_cluster(run_dir: Path) -> Cluster:
    """The cluster a run directory describes, there or not.

    The proxy to the API ended with the process that was killed: then this process has one of its own while it lasts.
    Must be called on the main thread. Raises HarnessError when the directory describes no cluster.
    """
    state = ClusterState.load(run_dir)
    proxy = ApiProxy(state.proxy, state.proxy_pid, state.proxy_started)
    installed = Path(state.account_kubeconfig).exists()
    if not state.ended and installed and not proxy.alive() and cluster_exists(state):
        kubectl = Kubectl(Path(state.account_kubeconfig), ACCOUNT)
        log = run_dir / "kubectl-proxy.log"
        own = start_proxy(kubectl, state.namespaces, log=log, dies_with_harness=True)
        state = replace(state, proxy=own.url, proxy_pid=own.pid, proxy_started=own.pid_started)
    return Cluster(state)
