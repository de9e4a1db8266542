"""Stands a stack up in a cluster, its own (kind) or one it was lent, and takes it down again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.clock import DeadlineExceeded, RunClock, wait_until
from harness.environments.images import build_images, load_mapping
from harness.environments.kube.access import account_kubectl
from harness.environments.kube.api_proxy import start_proxy
from harness.environments.kube.cluster import Cluster
from harness.environments.kube.ending import take_down
from harness.environments.kube.entry import entry_service
from harness.environments.kube.installation import EVERY_CLUSTERS, OWN_IMAGE, Installation
from harness.environments.kube.kinds import kubectl_kind
from harness.environments.kube.kubectl import Kubectl
from harness.environments.kube.kubelet_service import kubelet_endpoints
from harness.environments.kube.lent_cluster import require_free
from harness.environments.kube.operator import choose_form
from harness.environments.kube.placement import reaches_control_plane
from harness.environments.kube.pods import list_pods
from harness.environments.kube.readiness import diagnose, unready
from harness.environments.kube.shared_gpu import make_gpu
from harness.environments.kube.source import Source
from harness.environments.kube.state import ClusterState
from harness.environments.kube.storage import Storage, read_storage
from harness.environments.kube.versions import read_versions
from harness.environments.kube.vocabulary import labelled
from harness.environments.receiver import with_receiver
from harness.errors import HarnessError, StackNotReady
from harness.stack import Stack

# What no cluster has by itself, whatever the stack.
_NEVER_EXERCISED = ("Grafana's server: dashboards' queries are asked of Prometheus directly",)
_POLL_S = 0.5
# Kinds that the stack's reading passes over and that a cluster knows by itself.
_KNOWN = frozenset(
    {
        "ClusterRole",
        "ClusterRoleBinding",
        "Endpoints",
        "HorizontalPodAutoscaler",
        "Ingress",
        "LimitRange",
        "NetworkPolicy",
        "PersistentVolume",
        "PodDisruptionBudget",
        "PriorityClass",
        "ResourceQuota",
        "Role",
        "RoleBinding",
        "ServiceAccount",
        "StorageClass",
    }
)


class ClusterEnvironment:
    """A stack in a cluster: ``up``, work with it, then ``down``, which may be called at any time."""

    def __init__(
        self,
        stack: Stack,
        run_dir: Path,
        source: Source,
        *,
        images: str,
        time_scale: float,
        seed: int,
        entry: str | None = None,
        dies_with_harness: bool = True,
    ) -> None:
        """``images``: a mapping. ``entry``: the Service, ``namespace/name:port``, that a port of this machine leads to.

        Raises InputError for images that the mapping does not have, HarnessError for a Service that the stack has not;
        nothing is touched.
        """
        self._stack = with_receiver(stack, namespace=source.own_namespace)
        self._run_dir = run_dir.resolve()
        self._source = source
        self._dies_with_harness = dies_with_harness
        self._entry = [entry_service(self._stack, entry)] if entry else []
        self._mapping = load_mapping(images)
        self._images = self._mapping.resolve_all(self._stack.workloads)
        namespaces = {*(each.namespace for each in self._stack.workloads), source.own_namespace}
        self._state = ClusterState(
            environment=source.environment,
            run_dir=str(self._run_dir),
            stack=self._stack.absolute_path,
            stack_sha256=self._stack.sha256,
            time_scale=time_scale,
            seed=seed,
            cluster=source.cluster,
            keep=source.keep,
            kubeconfig=str(source.kubeconfig),
            context=source.context,
            account_kubeconfig=str(self._run_dir / "harness.kubeconfig"),
            namespaces=tuple(sorted(namespaces)),
            own_namespace=source.own_namespace,
            lent=source.lent,
            gpu="",
            gpu_file="",
        )
        self._begun = False

    def plan(self) -> list[str]:
        """All that ``up`` would touch, a line each; nothing is touched."""
        builds = sorted({each.reference for each in self._images.values() if each.build is not None})
        objects, _ = self._installation().objects(Storage(None, None, frozenset()), discovers=True)
        return [
            *(f"build the image {each}, unless it is there" for each in builds),
            *self._source.plan(),
            *(f"make {_title(each)}" for each in [*objects, *self._entry]),
            *([] if self._entry else [f"run pods of locust in {self._state.own_namespace}"]),
            "remove all of it at the end",
        ]

    def up(
        self,
        *,
        timeout_s: float,
        progress: Callable[[str], None] = lambda text: None,
        watch: Callable[[], None] = lambda: None,
    ) -> Cluster:
        """The running cluster, once every pod is ready. ``watch`` is called while waiting and may raise to end it.

        Must be called on the main thread: the proxy to the API ends with the thread that started it.
        ``timeout_s`` is for the stack's pods, beyond what making the cluster takes. Raises StackNotReady naming what is
        not ready, why, and its last lines; HarnessError when the cluster itself cannot be had.
        """
        clock = RunClock.start()
        try:
            built = build_images(self._images.values(), progress=progress)
        finally:
            watch()  # the signal that ended a build is meant for this process, too
        self._begun = True
        self._state.save()  # from here on another process can find what is to be taken down
        admin = self._source.open(self._state.namespaces, images=built, progress=progress, watch=watch)
        progress(f"the cluster is ready after {clock.now_s():.0f} s")
        try:
            self._source.give(built, everywhere=reaches_control_plane(self._stack.documents), progress=progress)
        finally:
            watch()
        notes = self._install(admin, progress)
        self._wait_ready(timeout_s=timeout_s, progress=progress, watch=watch)
        self._state = replace(
            self._state,
            not_exercised=tuple(dict.fromkeys([*_NEVER_EXERCISED, *notes, *self._notes()])),
            versions={**read_versions(self._state), **self._source.versions()},
            ready_s=round(clock.now_s(), 3),
        )
        self._state.save()
        return Cluster(self._state)

    def down(self) -> None:
        """Nothing of the cluster is left; the run's directory keeps what was written there."""
        if self._begun:
            self._begun = False
            take_down(self._state)

    def _prepare_gpu(self) -> None:
        """Simulated devices where pods and this process can share them."""
        path = self._source.gpu_file
        if path is not None:
            make_gpu(path, time_scale=self._state.time_scale)
        gpu = "simulated" if path is not None else "what the cluster's nodes have"
        self._state = replace(self._state, gpu=gpu, gpu_file=str(path or ""))

    def _install(self, admin: Kubectl, progress: Callable[[str], None]) -> tuple[str, ...]:
        """The stack and the harness's account are in the cluster, and the API can be read from here. The result is what
        was changed or left out for it."""
        installation = self._installation()
        form = choose_form(
            admin, self._stack, time_scale=self._state.time_scale, discovers=installation.discovers_itself
        )
        progress(form.why)
        discovers = form.by_operator or installation.discovers_itself()
        existing = EVERY_CLUSTERS if self._state.lent else _names(admin.get("namespaces"))
        objects, notes = installation.objects(
            read_storage(admin), discovers=discovers, by_operator=form.by_operator, existing=existing
        )
        if not self._state.lent:
            nodes = admin.get("nodes")["items"]
            objects += [labelled(each, self._state.run_label) for each in kubelet_endpoints(self._stack, nodes)]
        objects += [labelled(each, self._state.run_label) for each in self._entry]
        if self._state.lent:
            require_free(admin, objects, self._state.run_label)
        self._prepare_gpu()
        kinds = tuple(sorted({kubectl_kind(each) for each in objects}))
        self._state = replace(self._state, beyond=_beyond(objects, self._state.namespaces), kinds=kinds)
        self._state.save()  # what lies there has to be found again, whatever happens from here on
        admin.apply(objects)
        progress(f"{len(objects)} objects are in the cluster")
        kubectl = account_kubectl(admin, Path(self._state.account_kubeconfig), self._state.own_namespace)
        proxy = start_proxy(
            kubectl,
            self._state.namespaces,
            log=self._run_dir / "kubectl-proxy.log",
            dies_with_harness=self._dies_with_harness,
        )
        self._state = replace(
            self._state,
            proxy=proxy.url,
            proxy_pid=proxy.pid,
            proxy_started=proxy.pid_started,
            own_image=self._mapping.resolve(OWN_IMAGE).reference,
            entry=self._source.entry() if self._entry else "",
            **installation.paths(),
        )
        self._state.save()
        return (form.why, *notes)

    def _installation(self) -> Installation:
        state = replace(self._state, gpu_file=str(self._source.gpu_file or ""))
        return Installation(self._stack, self._images, state, own=self._mapping.resolve(OWN_IMAGE))

    def _notes(self) -> list[str]:
        ignored = [f"{each}: needs a controller that is not here" for each in self._stack.ignored if _unknown(each)]
        return [*(["GPU hardware: the devices are simulated"] if self._state.gpu_file else []), *ignored]

    def _wait_ready(self, *, timeout_s: float, progress: Callable[[str], None], watch: Callable[[], None]) -> None:
        waiting: Mapping[str, str] = {}
        told: set[str] = set()

        def all_ready() -> bool:
            nonlocal waiting
            watch()
            try:
                pods = list_pods(self._state.proxy, self._state.namespaces)
            except HarnessError as error:
                waiting = {"the cluster": str(error)}
                return False
            waiting = unready(self._stack.workloads, pods)
            for pod in pods:
                if pod.ready and pod.name not in told:
                    told.add(pod.name)
                    progress(f"{pod.name} is ready")
            return not waiting

        try:
            wait_until(all_ready, what="every pod is ready", timeout_s=timeout_s, poll_s=_POLL_S)
        except DeadlineExceeded as error:
            pods = list_pods(self._state.proxy, self._state.namespaces)
            why = {
                name: diagnose(name, said, pods, self._state.proxy, self._state.namespaces)
                for name, said in waiting.items()
            }
            raise StackNotReady(waited_s=timeout_s, pods=why) from error


def _unknown(ignored: str) -> bool:
    """Whether an object the stack's reading passes over is one that a cluster does not know by itself either."""
    return ignored.partition("/")[0] not in _KNOWN


def _names(listed: Any) -> set[str]:
    return {str(each["metadata"]["name"]) for each in listed["items"]}


def _beyond(objects: Sequence[Mapping[str, Any]], namespaces: Collection[str]) -> tuple[str, ...]:
    """The further namespaces in which something is made."""
    found = {str(each["metadata"]["namespace"]) for each in objects if each["metadata"].get("namespace")}
    return tuple(sorted(found.difference(namespaces)))


def _title(manifest: Mapping[str, Any]) -> str:
    metadata = manifest["metadata"]
    where = f" in {metadata['namespace']}" if metadata.get("namespace") else ""
    return f"{manifest['kind']} {metadata['name']}{where}"
