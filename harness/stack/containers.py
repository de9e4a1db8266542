"""Pod templates → containers, with every reference followed to what it names."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.errors import Mistake
from harness.stack.inventory import Inventory
from harness.stack.objects import Container, EnvVar, HttpProbe, Mount, Volume
from harness.stack.places import Place
from harness.stack.pod_manifests import (
    ContainerFields,
    EnvFields,
    EnvSource,
    MountFields,
    PodSpec,
    Probe,
    ResourceReference,
)
from harness.stack.quantities import parse_quantity
from harness.stack.schema import KeyReference
from harness.stack.volumes import VolumeReader, absent


@dataclass(frozen=True, slots=True)
class TemplateReader:
    """Reads the pod templates of one namespace; what is wrong is appended to ``mistakes``."""

    inventory: Inventory
    namespace: str
    mistakes: list[Mistake]

    def containers(
        self, spec: PodSpec, place: Place, *, init: bool = False, claims: Sequence[str] = ()
    ) -> tuple[Container, ...]:
        """The pod's containers (its init containers if ``init``); ``claims``: volumes that come from claim
        templates.
        """
        volumes = {volume.name for volume in spec.volumes} | set(claims)
        key, fields = ("initContainers", spec.init_containers) if init else ("containers", spec.containers)
        return tuple(self._container(one, place.at(key, index), volumes) for index, one in enumerate(fields))

    def volumes(self, spec: PodSpec, place: Place) -> tuple[Volume, ...]:
        """The pod's volumes with the content of the ConfigMaps and Secrets they show."""
        reader = VolumeReader(self.inventory, self.namespace, self.mistakes)
        return tuple(reader.read(one, place.at("volumes", index)) for index, one in enumerate(spec.volumes))

    def _container(self, fields: ContainerFields, place: Place, volumes: set[str]) -> Container:
        ports = {port.name or str(port.container_port): port.container_port for port in fields.ports}
        tcp = {port.name or str(port.container_port) for port in fields.ports if port.protocol == "TCP"}
        for index, mount in enumerate(fields.volume_mounts):
            if mount.name not in volumes:
                problem = f"mounts the volume {mount.name!r}, which the pod does not have"
                self.mistakes.append(place.at("volumeMounts", index, "name").mistake(problem))
        return Container(
            name=fields.name,
            image=fields.image,
            command=tuple(fields.command),
            args=tuple(fields.args),
            env=self._environment(fields, place),
            ports=ports,
            mounts=tuple(map(_mount, fields.volume_mounts)),
            readiness=self._probe(fields.readiness_probe, ports, place.at("readinessProbe")),
            liveness=self._probe(fields.liveness_probe, ports, place.at("livenessProbe")),
            limits=dict(fields.resources.limits),
            working_dir=fields.working_dir,
            not_tcp=frozenset(ports.keys() - tcp),
        )

    def _environment(self, fields: ContainerFields, place: Place) -> tuple[EnvVar, ...]:
        found: dict[str, EnvVar] = {}
        for index, source in enumerate(fields.env_from):
            found |= self._from_source(source, place.at("envFrom", index))
        for index, env in enumerate(fields.env):
            found[env.name] = self._variable(env, fields, place.at("env", index))
        return tuple(found.values())

    def _from_source(self, source: EnvSource, place: Place) -> dict[str, EnvVar]:
        found: dict[str, EnvVar] = {}
        for ref, kind, lookup in (
            (source.config_map_ref, "ConfigMap", self.inventory.config_map),
            (source.secret_ref, "Secret", self.inventory.secret),
        ):
            if ref is None:
                continue
            entries = lookup(self.namespace, ref.name)
            if entries is None and not ref.optional:
                self.mistakes.append(place.mistake(absent(kind, ref.name, self.namespace)))
            for key, value in (entries or {}).items():
                found[source.prefix + key] = EnvVar(source.prefix + key, value)
        return found

    def _variable(self, env: EnvFields, container: ContainerFields, place: Place) -> EnvVar:
        origin = env.value_from
        if origin is None:
            return EnvVar(env.name, env.value or "")
        if origin.config_map_key_ref is not None:
            ref = origin.config_map_key_ref
            entries = self.inventory.config_map(self.namespace, ref.name)
            value = self._entry("ConfigMap", entries, ref, place.at("valueFrom", "configMapKeyRef"))
            return EnvVar(env.name, value, config_map_key=(ref.name, ref.key))
        if origin.secret_key_ref is not None:
            ref = origin.secret_key_ref
            entries = self.inventory.secret(self.namespace, ref.name)
            value = self._entry("Secret", entries, ref, place.at("valueFrom", "secretKeyRef"))
            return EnvVar(env.name, value, secret_key=(ref.name, ref.key))
        if origin.resource_field_ref is not None:
            return EnvVar(env.name, _resource(origin.resource_field_ref, container))
        return EnvVar(env.name, field_path=origin.field_ref.field_path if origin.field_ref else None)

    def _entry(self, kind: str, entries: Mapping[str, str] | None, ref: KeyReference, place: Place) -> str | None:
        if entries is not None and ref.key in entries:
            return entries[ref.key]
        if not ref.optional:
            no_key = f"{kind} {ref.name} has no key {ref.key!r}"
            problem = absent(kind, ref.name, self.namespace) if entries is None else no_key
            self.mistakes.append(place.mistake(problem))
        return None

    def _probe(self, probe: Probe | None, ports: Mapping[str, int], place: Place) -> HttpProbe | None:
        if probe is None or (probe.http_get is None and probe.tcp_socket is None):
            return None
        get, key = (probe.http_get, "httpGet") if probe.http_get else (probe.tcp_socket, "tcpSocket")
        assert get is not None
        port = ports.get(get.port) if isinstance(get.port, str) else get.port
        if port is None:
            self.mistakes.append(place.at(key, "port").mistake(f"the container has no port named {get.port!r}"))
            return None
        return HttpProbe(
            path=probe.http_get.path if probe.http_get else None,
            port=port,
            period_s=float(probe.period_seconds),
            timeout_s=float(probe.timeout_seconds),
            failure_threshold=probe.failure_threshold,
            scheme=probe.http_get.scheme if probe.http_get else "HTTP",
            headers={each.name: each.value for each in probe.http_get.http_headers} if probe.http_get else {},
        )


def _resource(ref: ResourceReference, container: ContainerFields) -> str | None:
    """What a container's own manifest says of a resource, in whole divisors, rounded up as a kubelet does.

    None where it says nothing: a kubelet then tells what its node has.
    """
    bound, _, resource = ref.resource.partition(".")
    limits, requests = container.resources.limits, container.resources.requests
    # What asks for nothing asks for its limit.
    written = limits.get(resource) if bound == "limits" else requests.get(resource, limits.get(resource))
    if written is None or ref.container_name not in ("", container.name):
        return None
    return str(math.ceil(parse_quantity(written) / (parse_quantity(ref.divisor) or 1)))


def _mount(fields: MountFields) -> Mount:
    sub_path = fields.sub_path or fields.sub_path_expr
    return Mount(fields.name, fields.mount_path, sub_path, fields.read_only, expands=bool(fields.sub_path_expr))
