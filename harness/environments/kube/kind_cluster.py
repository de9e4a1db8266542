"""A kind cluster: made, found again, given images, and taken away."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml
from pytest_kubernetes.options import ClusterOptions
from pytest_kubernetes.providers import select_provider_manager
from pytest_kubernetes.providers.base import AClusterManager

from harness.clock import RunClock, wait_until
from harness.environments.kube.kubectl import Kubectl
from harness.errors import HarnessError

# Where each node shows the directory with the simulated GPU's state.
GPU_DIR = "/run/harness-gpu"
_CREATE_S = 300
_NODE_READY_S = 120
_COMMAND_S = 60.0
_LOAD_S = 300.0
_END_S = 10.0
_RUNTIME_POLL_S = 1.0
# Of 100, which is what pods have together. With a tenth of them a kubelet answers too late.
_DAEMONS_WEIGHT = 30
# On each node's container, with the name of its cluster.
_NODE_LABEL = "io.x-k8s.kind.cluster"
# Before this version a volume in memory is as large as half the machine, whatever its limit says.
_SIZED_MEMORY_VOLUMES = (1, 22)


@dataclass(frozen=True, slots=True)
class KindCluster:
    """One cluster by its name; ``kubeconfig`` is a file of its own, never the user's."""

    name: str
    kubeconfig: Path

    @property
    def kubectl(self) -> Kubectl:
        """The cluster as its administrator."""
        return Kubectl(self.kubeconfig, f"kind-{self.name}")

    def exists(self) -> bool:
        """Whether the cluster, or what is left of a half-made one, is there."""
        return self.name in _output(["kind", "get", "clusters"]).split()

    def nodes(self) -> tuple[str, ...]:
        """The names of its nodes, which are those of their containers; empty when there is no such cluster."""
        listed = _output(["kind", "get", "nodes", "--name", self.name]).split("\n")
        return tuple(sorted(line for line in listed if line.startswith(f"{self.name}-")))

    def create(
        self,
        config: Mapping[str, Any],
        directory: Path,
        *,
        image: str | None,
        pod_images: Sequence[str] = (),
        progress: Callable[[str], None],
        watch: Callable[[], None],
    ) -> None:
        """The cluster, its nodes ready. ``image``: of the nodes; None: kind's own default.

        ``pod_images``: what nodes that take pods are given meanwhile, as far as that succeeds. ``watch`` is called
        while waiting and may raise to end it: then kind is ended, and ``delete`` removes what is left. Raises
        HarnessError with what kind said.
        """
        require_tools()
        path = directory / "kind.yaml"
        path.write_text(yaml.safe_dump(node_settings({**config, "name": self.name}, image), sort_keys=False))
        failed: list[BaseException] = []

        def make() -> None:
            try:
                manager = _manager(self.name)
                options = ClusterOptions(
                    kubeconfig_path=self.kubeconfig, provider_config=path, cluster_timeout=_CREATE_S
                )
                further = ["--wait", f"{_NODE_READY_S}s", *(["--image", image] if image else [])]
                manager.create(options, timeout=_NODE_READY_S, options=further)
            except (subprocess.SubprocessError, RuntimeError, OSError) as error:
                failed.append(error)

        thread = threading.Thread(target=make, name="kind create cluster", daemon=True)
        nodes = nodes_for_pods(self.name, config) if pod_images else []
        early = threading.Thread(
            target=self._load_early, args=(pod_images, nodes, thread), name="kind load docker-image", daemon=True
        )
        clock = RunClock.start()
        thread.start()
        early.start()
        told_s = 0.0

        def made() -> bool:
            nonlocal told_s
            watch()
            if clock.now_s() - told_s >= 10:
                told_s = clock.now_s()
                progress(f"making the cluster {self.name}, {told_s:.0f} s so far")
            return bool(failed) or not (thread.is_alive() or early.is_alive())

        try:
            wait_until(made, what="kind makes the cluster", timeout_s=_CREATE_S + _NODE_READY_S, poll_s=0.2)
        finally:  # whatever ends the waiting, kind must not go on
            self._end(thread, early)
        if failed:
            raise HarnessError(f"kind could not make the cluster {self.name}: {_why(failed[0])}") from failed[0]

    def load(self, images: Sequence[str], *, nodes: Sequence[str]) -> None:
        """The images, whose names say what they hold, are on these nodes. Raises HarnessError for one not in Docker."""
        for node in nodes:
            there = _images_on(node)
            missing = [image for image in images if image not in there]
            if missing:
                self._load(missing, node)

    def _load(self, images: Sequence[str], node: str) -> None:
        """kind writes the images to a file first, and leaves it where it is ended."""
        argv = ["kind", "load", "docker-image", *images, "--name", self.name, "--nodes", node]
        with tempfile.TemporaryDirectory(
            prefix="images-", dir=self.kubeconfig.parent, ignore_cleanup_errors=True
        ) as scratch:
            _output(argv, timeout_s=_LOAD_S, interruptible=True, settings={"TMPDIR": scratch})

    def _load_early(self, images: Sequence[str], nodes: Sequence[str], making: threading.Thread) -> None:
        """A node's runtime answers long before Kubernetes does. What fails here ``load`` does again, and tells of."""
        for node in nodes:
            while making.is_alive() and not _has_runtime(node):
                time.sleep(_RUNTIME_POLL_S)
            if not making.is_alive():
                return
            with contextlib.suppress(HarnessError):
                self._load(images, node)

    def _end(self, *threads: threading.Thread) -> None:
        """What kind does in these threads has ended."""
        deadline = time.monotonic() + _END_S
        while any(thread.is_alive() for thread in threads) and time.monotonic() < deadline:
            _end_kind()  # again: one of them may just have started the next program
            for thread in threads:
                thread.join(timeout=0.2)

    def put_pods_first(self) -> None:
        """Where processors are short the nodes' own daemons wait, and not the pods.

        All nodes share this machine's processors, which no real node does: what a kubelet and a runtime take would
        make the stack's scrapes late. A node without systemd keeps its even shares.
        """
        for node in self.nodes():
            argv = ["systemctl", "set-property", "--runtime", "system.slice", f"CPUWeight={_DAEMONS_WEIGHT}"]
            with contextlib.suppress(HarnessError):
                _output(["docker", "exec", node, *argv])

    def keep_service_packets(self) -> None:
        """A packet to a Service that has no rule yet goes nowhere, and is sent again.

        When a Service gets its first endpoint, kube-proxy takes the rule that refuses back before it writes the one
        that leads there. What is sent between the two would leave the node, and in some networks there is something
        that answers for any address: such a connection then stays with it.
        """
        with contextlib.suppress(HarnessError):
            for network in self._service_networks():
                program = "ip6tables" if ":" in network else "iptables"
                rule = f"FORWARD -d {network} -j DROP"
                script = f"{program} -w 10 -C {rule} 2>/dev/null || {program} -w 10 -I {rule}"
                for node in self.nodes():
                    with contextlib.suppress(HarnessError):
                        _output(["docker", "exec", node, "sh", "-c", script])

    def _service_networks(self) -> list[str]:
        """The networks of the Services' addresses, as kubeadm was told; none where it was told in another way."""
        kept = self.kubectl.get("configmap", "kubeadm-config", "-n", "kube-system").get("data", {})
        settings = yaml.safe_load(kept.get("ClusterConfiguration", "{}"))
        return [part for part in settings.get("networking", {}).get("serviceSubnet", "").split(",") if part]

    def write_kubeconfig(self) -> None:
        """Writes the kubeconfig of a cluster that is there already."""
        self.kubeconfig.touch(mode=0o600)
        self.kubeconfig.write_text(_output(["kind", "get", "kubeconfig", "--name", self.name]))

    def delete(self) -> None:
        """The cluster is gone; nothing happens when it is not there."""
        _output(["kind", "delete", "cluster", "--name", self.name, "--kubeconfig", str(self.kubeconfig)])
        self.kubeconfig.unlink(missing_ok=True)


def require_tools() -> None:
    """Raises HarnessError naming what a kind cluster needs and this machine lacks."""
    missing = [name for name in ("docker", "kind", "kubectl") if shutil.which(name) is None]
    if missing:
        raise HarnessError(
            f"the kind environment needs {', '.join(missing)} on PATH: docker (Debian: docker.io), kubectl"
            " (Debian: kubernetes-client), kind (kind.sigs.k8s.io)"
        )
    _output(["docker", "version", "--format", "{{.Server.Version}}"])


def node_settings(config: Mapping[str, Any], image: str | None) -> dict[str, Any]:
    """kind's configuration with what nodes of an old version need to be told."""
    version = re.search(r":v(\d+)\.(\d+)", image or "")
    if version is None or (int(version[1]), int(version[2])) >= _SIZED_MEMORY_VOLUMES:
        return dict(config)
    patch = "kind: KubeletConfiguration\nfeatureGates:\n  SizeMemoryBackedVolumes: true\n"
    return {**config, "kubeadmConfigPatches": [*config.get("kubeadmConfigPatches", []), patch]}


def require_node(name: str) -> None:
    """Raises HarnessError unless the node is a container here that kind made; whoever may use Docker can see that."""
    try:
        label = f'{{{{index .Config.Labels "{_NODE_LABEL}"}}}}'
        made = _output(["docker", "inspect", "--type", "container", "--format", label, name]).strip()
        why = f"its container has no label {_NODE_LABEL}"
    except HarnessError as error:
        made, why = "", str(error)
    if not made:
        raise HarnessError(
            f"node {name} is no kind node on this machine, and the fault needs to act on the node itself: {why}"
        )


def node_root(name: str) -> Path | None:
    """A node's file system as this machine sees it; None where the node is no container here, or not ours to see.

    A node's processes are root's, so that only root sees it.
    """
    try:
        number = _output(["docker", "inspect", "--format", "{{.State.Pid}}", name]).strip()
        root = Path(f"/proc/{int(number)}/root")
        return root if (root / "kind").is_dir() else None
    except (HarnessError, ValueError, OSError):
        return None


def kind_version() -> str:
    """The version kind reports of itself."""
    found = re.search(r"v\d[\w.+-]*", _output(["kind", "version"]))
    return found.group() if found else "unknown"


def nodes_for_pods(cluster: str, config: Mapping[str, Any]) -> list[str]:
    """The names that kind gives the nodes of this configuration that take pods: workers, where there are any."""
    roles = [str(node.get("role", "control-plane")) for node in config.get("nodes", [])] or ["control-plane"]
    role = "worker" if "worker" in roles else "control-plane"
    return [f"{cluster}-{role}{number if number > 1 else ''}" for number in range(1, roles.count(role) + 1)]


def _has_runtime(node: str) -> bool:
    try:
        _output(["docker", "exec", node, "ctr", "version"])
    except HarnessError:
        return False
    return True


def _images_on(node: str) -> set[str]:
    """What a node has, as pods name it; nothing where the node does not say."""
    try:
        listed = _output(["docker", "exec", node, "ctr", "--namespace", "k8s.io", "images", "list", "--quiet"])
    except HarnessError:
        return set()
    return {name.removeprefix("docker.io/").removeprefix("library/") for name in listed.split()}


def _manager(name: str) -> AClusterManager:
    return select_provider_manager("kind")(name)


def _end_kind() -> None:
    """Ends the kind programs that this process started, and what those started."""
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.name() == "kind":
                for each in (*process.children(recursive=True), process):
                    with contextlib.suppress(psutil.NoSuchProcess):
                        each.kill()


def _output(
    argv: list[str],
    *,
    timeout_s: float = _COMMAND_S,
    interruptible: bool = False,
    settings: Mapping[str, str] | None = None,
) -> str:
    """``interruptible``: whether a terminal's Ctrl-C ends it too, which else is the harness's to answer. ``settings``:
    further environment variables."""
    shown = " ".join(argv[:3])
    try:
        done = subprocess.run(
            argv,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            start_new_session=not interruptible,
            env={**os.environ, **(settings or {})},
        )
    except subprocess.TimeoutExpired as error:
        raise HarnessError(f"{shown}: no answer within {timeout_s:g} s") from error
    except OSError as error:
        raise HarnessError(f"{shown}: {error.strerror}; the kind environment needs it") from error
    if done.returncode != 0:
        raise HarnessError(f"{shown}: {done.stderr.strip()[-1500:] or f'exit status {done.returncode}'}")
    return done.stdout


def _why(error: BaseException) -> str:
    said = getattr(error, "stderr", None)
    text = said.decode(errors="replace") if isinstance(said, bytes) else str(error)
    return text.strip()[-2000:]
