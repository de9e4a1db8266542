"""What a stack's manifests say, as types. Durations are spec time in seconds; sizes are bytes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.model import PodAddress
from harness.spec import Spec


@dataclass(frozen=True, slots=True)
class EnvVar:
    """One environment variable: a literal ``value``, or taken from elsewhere.

    ``field_path``: the downward API, e.g. ``status.podIP``. ``config_map_key`` and ``secret_key``: (object, key);
    ``value`` then holds what stands there, or None where an optional one is absent and the variable is not set.
    None of all: it comes from what only a kubelet knows, such as a resource that the container does not limit.
    """

    name: str
    value: str | None = None
    field_path: str | None = None
    config_map_key: tuple[str, str] | None = None
    secret_key: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Mount:
    """Where a container sees a volume, or what of it lies at ``sub_path``.

    ``expands``: the sub-path still holds its ``$(NAME)`` references, which the container's variables fill in.
    """

    volume: str
    path: str
    sub_path: str
    read_only: bool
    expands: bool = False


@dataclass(frozen=True, slots=True)
class HttpProbe:
    """A probe of a container: HTTP GET of ``path`` on ``port`` (None path: a TCP connect). Durations: spec seconds.

    ``scheme``: ``HTTP`` or ``HTTPS``; a kubelet verifies no certificate. ``headers``: what the request carries.
    """

    path: str | None
    port: int
    period_s: float
    timeout_s: float
    failure_threshold: int
    scheme: str = "HTTP"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Container:
    """A container of a pod template. ``command`` and ``args`` still hold their ``$(NAME)`` references.

    ``ports`` maps port names to numbers (an unnamed port is named by its number); ``not_tcp`` are the names of those
    that are UDP or SCTP. ``limits`` holds the resource limits as written, e.g. ``{"nvidia.com/gpu": "1"}``.
    """

    name: str
    image: str
    command: tuple[str, ...]
    args: tuple[str, ...]
    env: tuple[EnvVar, ...]
    ports: Mapping[str, int]
    mounts: tuple[Mount, ...]
    readiness: HttpProbe | None
    liveness: HttpProbe | None
    limits: Mapping[str, str]
    working_dir: str | None = None
    not_tcp: frozenset[str] = frozenset()

    @property
    def tcp_ports(self) -> tuple[int, ...]:
        """The ports that can be connected to, in the manifest's order."""
        return tuple(number for name, number in self.ports.items() if name not in self.not_tcp)


@dataclass(frozen=True, slots=True)
class Volume:
    """A pod's volume.

    ``kind``: ``empty_dir``, ``config_map``, ``secret``, ``projected``, ``claim``, ``host_path``, ``host_file`` (a file,
    socket or device of the host), ``files`` (written by the renderer) or another Kubernetes volume type as written
    (then nothing can be mounted locally).
    ``source``: the ConfigMap's, Secret's or claim's name, or the host path. ``size_bytes``: None where unlimited.
    ``files``: content by relative path, for ``config_map``, ``secret``, ``projected`` and ``files``; bytes that are no
    UTF-8 are surrogates, as Python has them (``surrogateescape``). ``fields``: what the downward API says, by relative
    path. ``left_out``: what else a ``projected`` one should hold.
    """

    name: str
    kind: str
    source: str
    size_bytes: int | None
    files: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, str] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Workload:
    """Something that runs pods: Deployment, StatefulSet, DaemonSet, Job or Pod, written or made by the operator.

    ``operated``: made from a Prometheus or Alertmanager object, as the operator would. ``where``: file and key path.
    ``root``: the path below which an operated program serves HTTP, empty or without a slash at its end.
    ``host_pid``: its pods see the node's processes, and so the node's mounts, instead of their own.
    """

    namespace: str
    name: str
    kind: str
    replicas: int
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    containers: tuple[Container, ...]
    init_containers: tuple[Container, ...]
    volumes: tuple[Volume, ...]
    restart_policy: str
    service_account: str
    operated: bool
    where: str
    host_pid: bool = False
    root: str = ""

    def pod_names(self) -> tuple[str, ...]:
        """Stable names, ``<workload>-0`` and on; the bare name for a Pod."""
        if self.kind == "Pod":
            return (self.name,)
        return tuple(f"{self.name}-{ordinal}" for ordinal in range(self.replicas))


@dataclass(frozen=True, slots=True)
class ServicePort:
    """A Service's port; ``target`` is a number or the name of a container's port."""

    name: str
    port: int
    target: int | str


@dataclass(frozen=True, slots=True)
class Service:
    """A Service; ``headless`` when its clusterIP is None."""

    namespace: str
    name: str
    labels: Mapping[str, str]
    selector: Mapping[str, str]
    ports: tuple[ServicePort, ...]
    headless: bool

    def target(self, port: ServicePort) -> str:
        """How one of its ports is named wherever load or requests are aimed at it: ``namespace/name:port``."""
        return f"{self.namespace}/{self.name}:{port.port}"


@dataclass(frozen=True, slots=True)
class ScrapeEndpoint:
    """One endpoint of a selected ServiceMonitor or PodMonitor, with the defaults of its Prometheus filled in.

    ``services``: those the monitor selects (empty for a PodMonitor, whose ``pod_selector`` says which pods).
    ``relabelings`` and ``metric_relabelings`` are in Prometheus's own spelling (``source_labels``, ``target_label``…);
    ``relabelings`` holds all that the operator generates, the monitor's own last. ``settings``: further keys of the
    scrape configuration (``sample_limit``…). ``connection``: its ``authorization`` and ``tls_config``, whose files
    lie in the Prometheus pod. ``left_out``: what the monitor asks for and no rendering carries over.
    """

    job: str  # the scrape pool: serviceMonitor/<namespace>/<name>/<index>
    namespace: str
    monitor: str
    services: tuple[Service, ...]
    pod_namespaces: tuple[str, ...] | None
    pod_selector: Mapping[str, Any] | None
    port: str | int
    path: str
    scheme: str
    interval_s: float
    timeout_s: float
    honor_labels: bool
    params: Mapping[str, tuple[str, ...]]
    relabelings: tuple[Mapping[str, Any], ...]
    metric_relabelings: tuple[Mapping[str, Any], ...]
    job_label: str
    where: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    connection: Mapping[str, Any] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stack:
    """A directory of manifests, read and resolved.

    ``workloads``: all that runs pods, those of the operator included. ``endpoints``, ``spec``: only what the
    Prometheus and Alertmanager objects select. ``unselected``: monitors, rules and configurations nothing selects,
    and objects of a Helm chart that its installation does not make, with the reason. ``ignored``: objects that are read
    but that no environment without their controller exercises, as ``Kind/name``. ``dashboards``: name → Grafana's JSON.
    ``sha256``: over all files, in the order of their paths.
    """

    root: Path
    sha256: str
    workloads: tuple[Workload, ...]
    services: tuple[Service, ...]
    endpoints: tuple[ScrapeEndpoint, ...]
    spec: Spec
    unselected: tuple[str, ...]
    ignored: tuple[str, ...]
    dashboards: Mapping[str, Mapping[str, Any]]
    prometheus: Mapping[str, Any]  # the Prometheus object's spec as written
    alertmanager: Mapping[str, Any]  # the Alertmanager object's spec as written; empty without one
    prometheus_name: tuple[str, str]  # namespace and name
    alertmanager_name: tuple[str, str] | None
    rule_groups: tuple[Mapping[str, Any], ...]  # selected groups as Prometheus reads them: name, interval, rules
    alertmanager_config: Mapping[str, Any]  # Alertmanager's own configuration, spec time, not captured
    further_roots: tuple[Path, ...] = ()  # directories that were read with the first
    documents: tuple[Mapping[str, Any], ...] = ()  # every object as its file states it, in the order of the files

    @property
    def path(self) -> str:
        """Its directories as one text, with the separator the system has for such lists."""
        return os.pathsep.join(map(str, (self.root, *self.further_roots)))

    @property
    def absolute_path(self) -> str:
        """``path`` for whoever works in another directory."""
        return os.pathsep.join(str(each.resolve()) for each in (self.root, *self.further_roots))


@dataclass(frozen=True, slots=True)
class Rendered:
    """Configuration files by relative path, and the flags the program needs beside them.

    ``notes``: what was changed or left out in rendering, for the report.
    """

    files: Mapping[str, str]
    flags: tuple[str, ...]
    notes: tuple[str, ...]


__all__ = [
    "Container",
    "EnvVar",
    "HttpProbe",
    "Mount",
    "PodAddress",
    "Rendered",
    "ScrapeEndpoint",
    "Service",
    "ServicePort",
    "Stack",
    "Volume",
    "Workload",
]
