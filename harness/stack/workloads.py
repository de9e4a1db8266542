"""Manifests that run pods → workloads, and Services as the pods' discovery needs them."""

from __future__ import annotations

from dataclasses import dataclass

from harness.errors import Mistake
from harness.stack.containers import TemplateReader
from harness.stack.inventory import Found, Inventory, M
from harness.stack.manifests import ClaimTemplate, ControllerManifest, JobManifest, ServiceManifest
from harness.stack.objects import Service, ServicePort, Volume, Workload
from harness.stack.places import Place
from harness.stack.pod_manifests import PodManifest, PodSpec, PodTemplate, Probe, TemplateMetadata
from harness.stack.quantities import parse_bytes
from harness.stack.schema import Manifest


def read_workloads(inventory: Inventory, mistakes: list[Mistake]) -> tuple[Workload, ...]:
    """Every Deployment, StatefulSet, DaemonSet, Job and Pod; a DaemonSet has one pod, since an environment
    has one node.
    """
    reader = _Reader(inventory, mistakes)
    return (
        *map(reader.controller, inventory.of(ControllerManifest)),
        *map(reader.job, inventory.of(JobManifest)),
        *map(reader.pod, inventory.of(PodManifest)),
    )


def read_services(inventory: Inventory) -> tuple[Service, ...]:
    """Every Service; a port without ``targetPort`` leads to its own number."""
    return tuple(
        Service(
            namespace=found.manifest.metadata.namespace,
            name=found.manifest.metadata.name,
            labels=dict(found.manifest.metadata.labels),
            selector=dict(found.manifest.spec.selector),
            ports=tuple(
                ServicePort(port.name, port.port, port.port if port.target_port is None else port.target_port)
                for port in found.manifest.spec.ports
            ),
            headless=found.manifest.spec.cluster_ip == "None",
        )
        for found in inventory.of(ServiceManifest)
    )


def probes_left_out(inventory: Inventory) -> tuple[str, ...]:
    """Probes that are neither HTTP nor TCP, which only a kubelet can run, as ``Kind/name: container:
    probe``.
    """
    found: list[str] = []
    for item in inventory.all:
        for container in _pod_spec(item.manifest).containers if _has_pod(item.manifest) else ():
            probes = {"readinessProbe": container.readiness_probe, "livenessProbe": container.liveness_probe}
            found += [f"{item.title}: {container.name}: {key}" for key, probe in probes.items() if _only_kubelet(probe)]
    return tuple(found)


def _has_pod(manifest: Manifest) -> bool:
    return isinstance(manifest, ControllerManifest | JobManifest | PodManifest)


def _pod_spec(manifest: Manifest) -> PodSpec:
    if isinstance(manifest, ControllerManifest | JobManifest):
        return manifest.spec.template.spec
    assert isinstance(manifest, PodManifest)
    return manifest.spec


def _only_kubelet(probe: Probe | None) -> bool:
    return probe is not None and probe.http_get is None and probe.tcp_socket is None


@dataclass(frozen=True, slots=True)
class _Reader:
    inventory: Inventory
    mistakes: list[Mistake]

    def controller(self, found: Found[ControllerManifest]) -> Workload:
        spec = found.manifest.spec
        if not spec.selector.selects(spec.template.metadata.labels):
            place = found.place.at("spec", "selector")
            problem = "does not select the labels of the pod template; a cluster refuses this"
            self.mistakes.append(place.mistake(problem))
        replicas = 1 if found.manifest.kind == "DaemonSet" else spec.replicas
        claims = tuple(spec.volume_claim_templates)
        place = found.place.at("spec", "template", "spec")
        return self._workload(found, spec.template, place, replicas=replicas, claims=claims)

    def job(self, found: Found[JobManifest]) -> Workload:
        spec = found.manifest.spec
        place = found.place.at("spec", "template", "spec")
        if spec.template.spec.restart_policy == "Always":
            problem = 'got "Always", a Job needs OnFailure or Never'
            self.mistakes.append(place.at("restartPolicy").mistake(problem))
        return self._workload(found, spec.template, place, replicas=spec.pods)

    def pod(self, found: Found[PodManifest]) -> Workload:
        own = found.manifest.metadata
        metadata = TemplateMetadata(labels=own.labels, annotations=own.annotations)
        template = PodTemplate(metadata=metadata, spec=found.manifest.spec)
        return self._workload(found, template, found.place.at("spec"), replicas=1)

    def _workload(
        self,
        found: Found[M],
        template: PodTemplate,
        place: Place,
        *,
        replicas: int,
        claims: tuple[ClaimTemplate, ...] = (),
    ) -> Workload:
        reader = TemplateReader(self.inventory, found.manifest.metadata.namespace, self.mistakes)
        names = tuple(claim.metadata.name for claim in claims)
        pod = template.spec
        return Workload(
            namespace=found.manifest.metadata.namespace,
            name=found.manifest.metadata.name,
            kind=found.manifest.kind,
            replicas=replicas,
            labels=dict(template.metadata.labels),
            annotations=dict(template.metadata.annotations),
            containers=reader.containers(pod, place, claims=names),
            init_containers=reader.containers(pod, place, init=True, claims=names),
            volumes=reader.volumes(pod, place) + tuple(map(claim_volume, claims)),
            restart_policy=pod.restart_policy,
            service_account=pod.service_account_name,
            host_pid=pod.host_pid,
            operated=False,
            where=str(found.place),
        )


def claim_volume(template: ClaimTemplate, name: str | None = None) -> Volume:
    """The volume each pod of a set gets from a claim template."""
    size = template.spec.resources.requests.get("storage")
    called = name or template.metadata.name
    return Volume(called, "claim", called, parse_bytes(size) if size else None)
