"""Pods as their authors write them: containers, probes, volumes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from harness.stack.schema import (
    Fields,
    InnerPath,
    IntOrString,
    KeyReference,
    Labels,
    Manifest,
    Name,
    ObjectName,
    Quantity,
    Reference,
)


class FieldReference(Fields):
    field_path: Name


class ResourceReference(Fields):
    resource: Name
    container_name: str = ""
    divisor: Quantity = "0"


class ValueFrom(Fields):
    field_ref: FieldReference | None = None
    resource_field_ref: ResourceReference | None = None
    config_map_key_ref: KeyReference | None = None
    secret_key_ref: KeyReference | None = None


class EnvFields(Fields):
    name: Name
    value: str | None = None
    value_from: ValueFrom | None = None


class EnvSource(Fields):
    prefix: str = ""
    config_map_ref: Reference | None = None
    secret_ref: Reference | None = None


class HttpHeader(Fields):
    name: Name
    value: str = ""


class HttpGet(Fields):
    path: str = "/"
    port: IntOrString
    scheme: Literal["HTTP", "HTTPS"] = "HTTP"
    http_headers: list[HttpHeader] = Field(default_factory=list)


class TcpSocket(Fields):
    port: IntOrString


class Probe(Fields):
    http_get: HttpGet | None = None
    tcp_socket: TcpSocket | None = None
    period_seconds: int = Field(default=10, ge=1)
    timeout_seconds: int = Field(default=1, ge=1)
    failure_threshold: int = Field(default=3, ge=1)


class ContainerPort(Fields):
    name: str = ""
    container_port: int = Field(ge=1, le=65535)
    protocol: Literal["TCP", "UDP", "SCTP"] = "TCP"


class MountFields(Fields):
    name: Name
    mount_path: Name
    sub_path: InnerPath = ""
    sub_path_expr: InnerPath = ""
    read_only: bool = False


class Resources(Fields):
    limits: dict[str, Quantity] = Field(default_factory=dict)
    requests: dict[str, Quantity] = Field(default_factory=dict)


class ContainerFields(Fields):
    name: ObjectName
    image: Name
    command: list[str] = Field(default_factory=list)
    args: list[str] = Field(default_factory=list)
    env: list[EnvFields] = Field(default_factory=list)
    env_from: list[EnvSource] = Field(default_factory=list)
    ports: list[ContainerPort] = Field(default_factory=list)
    volume_mounts: list[MountFields] = Field(default_factory=list)
    readiness_probe: Probe | None = None
    liveness_probe: Probe | None = None
    resources: Resources = Resources()
    working_dir: str | None = None


class EmptyDir(Fields):
    medium: str = ""
    size_limit: Quantity | None = None


class KeyToPath(Fields):
    key: Name
    path: InnerPath


class ConfigMapVolume(Reference):
    items: list[KeyToPath] | None = None


class SecretVolume(Fields):
    secret_name: Name
    optional: bool = False
    items: list[KeyToPath] | None = None


class ClaimVolume(Fields):
    claim_name: Name


class HostPath(Fields):
    path: Name
    type: str = ""


class DownwardItem(Fields):
    path: InnerPath
    field_ref: FieldReference | None = None


class DownwardVolume(Fields):
    items: list[DownwardItem] = Field(default_factory=list)


class ProjectedSource(Fields):
    config_map: ConfigMapVolume | None = None
    secret: ConfigMapVolume | None = None  # here a Secret is named as a ConfigMap is
    downward_api: DownwardVolume | None = Field(default=None, alias="downwardAPI")


class ProjectedVolume(Fields):
    sources: list[ProjectedSource] = Field(default_factory=list)


class VolumeFields(Fields):
    name: ObjectName
    empty_dir: EmptyDir | None = None
    config_map: ConfigMapVolume | None = None
    secret: SecretVolume | None = None
    persistent_volume_claim: ClaimVolume | None = None
    host_path: HostPath | None = None
    projected: ProjectedVolume | None = None
    downward_api: DownwardVolume | None = Field(default=None, alias="downwardAPI")


class PodSpec(Fields):
    containers: list[ContainerFields] = Field(min_length=1)
    init_containers: list[ContainerFields] = Field(default_factory=list)
    volumes: list[VolumeFields] = Field(default_factory=list)
    restart_policy: Literal["Always", "OnFailure", "Never"] = "Always"
    service_account_name: str = "default"
    host_pid: bool = Field(default=False, alias="hostPID")


class TemplateMetadata(Fields):
    labels: Labels = Field(default_factory=dict)
    annotations: Labels = Field(default_factory=dict)


class PodTemplate(Fields):
    metadata: TemplateMetadata = TemplateMetadata()
    spec: PodSpec


class PodManifest(Manifest):
    """A bare Pod."""

    spec: PodSpec
