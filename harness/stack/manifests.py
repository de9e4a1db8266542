"""Kubernetes objects as their authors write them: controllers of pods, Services, claims, configuration."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from harness.stack.pod_manifests import PodTemplate
from harness.stack.schema import Fields, IntOrString, Key, Labels, LabelSelector, Manifest, Quantity

# More pods than any test needs: a slip of the keyboard must not take the machine's memory.
MAX_REPLICAS = 200


class NamespaceManifest(Manifest):
    """A Namespace."""


class ConfigMapManifest(Manifest):
    """A ConfigMap."""

    data: dict[Key, str] = Field(default_factory=dict)
    binary_data: dict[Key, str] = Field(default_factory=dict)


class SecretManifest(Manifest):
    """A Secret; ``data`` is base64."""

    data: dict[Key, str] = Field(default_factory=dict)
    string_data: dict[Key, str] = Field(default_factory=dict)


class ServicePortFields(Fields):
    name: str = ""
    port: int = Field(ge=1, le=65535)
    target_port: IntOrString | None = None


class ServiceSpec(Fields):
    selector: Labels = Field(default_factory=dict)
    ports: list[ServicePortFields] = Field(default_factory=list)
    cluster_ip: str = Field(default="", alias="clusterIP")


class ServiceManifest(Manifest):
    """A Service."""

    spec: ServiceSpec


class ClaimResources(Fields):
    requests: dict[str, Quantity] = Field(default_factory=dict)


class ClaimSpec(Fields):
    resources: ClaimResources = ClaimResources()


class ClaimManifest(Manifest):
    """A PersistentVolumeClaim."""

    spec: ClaimSpec


class ClaimTemplateMetadata(Fields):
    name: str = ""


class ClaimTemplate(Fields):
    metadata: ClaimTemplateMetadata = ClaimTemplateMetadata()
    spec: ClaimSpec = ClaimSpec()


class ControllerSpec(Fields):
    replicas: int = Field(default=1, ge=0, le=MAX_REPLICAS)
    selector: LabelSelector
    template: PodTemplate
    volume_claim_templates: list[ClaimTemplate] = Field(default_factory=list)


class JobSpec(Fields):
    parallelism: int = Field(default=1, ge=0, le=MAX_REPLICAS)
    completions: int | None = Field(default=None, ge=0)
    suspend: bool = False
    template: PodTemplate

    @property
    def pods(self) -> int:
        """How many it runs at a time: none while it is suspended, and never more than have to complete."""
        if self.suspend:
            return 0
        return self.parallelism if self.completions is None else min(self.parallelism, self.completions)


class ControllerManifest(Manifest):
    """A Deployment, StatefulSet or DaemonSet."""

    spec: ControllerSpec


class JobManifest(Manifest):
    """A Job."""

    spec: JobSpec


def secret_references(value: Any) -> bool:
    """Whether a part of a manifest refers to a key of a Secret or ConfigMap, at any depth."""
    if isinstance(value, list):
        return any(secret_references(item) for item in value)
    if not isinstance(value, dict):
        return False
    return ({"name", "key"} <= set(value) <= {"name", "key", "optional"}) or any(map(secret_references, value.values()))
