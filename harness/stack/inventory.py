"""Documents → typed manifests by kind, duplicates and unknown references named."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from harness.errors import Mistake
from harness.stack import alertmanager_manifests, manifests, operator_manifests, pod_manifests
from harness.stack.documents import Document
from harness.stack.places import Place
from harness.stack.schema import Manifest, mistakes_of

M = TypeVar("M", bound=Manifest)
N = TypeVar("N", bound=Manifest)

_KINDS: Mapping[tuple[str, str], type[Manifest]] = {
    ("", "Namespace"): manifests.NamespaceManifest,
    ("", "ConfigMap"): manifests.ConfigMapManifest,
    ("", "Secret"): manifests.SecretManifest,
    ("", "Service"): manifests.ServiceManifest,
    ("", "PersistentVolumeClaim"): manifests.ClaimManifest,
    ("", "Pod"): pod_manifests.PodManifest,
    ("apps", "Deployment"): manifests.ControllerManifest,
    ("apps", "StatefulSet"): manifests.ControllerManifest,
    ("apps", "DaemonSet"): manifests.ControllerManifest,
    ("batch", "Job"): manifests.JobManifest,
    ("monitoring.coreos.com", "Prometheus"): operator_manifests.PrometheusManifest,
    ("monitoring.coreos.com", "Alertmanager"): alertmanager_manifests.AlertmanagerManifest,
    ("monitoring.coreos.com", "AlertmanagerConfig"): alertmanager_manifests.AlertmanagerConfigManifest,
    ("monitoring.coreos.com", "PrometheusRule"): operator_manifests.PrometheusRuleManifest,
    ("monitoring.coreos.com", "ServiceMonitor"): operator_manifests.ServiceMonitorManifest,
    ("monitoring.coreos.com", "PodMonitor"): operator_manifests.PodMonitorManifest,
}
# What Helm makes an object for, where that is not to have the release: `helm template` writes it down all the same.
_HOOK = "helm.sh/hook"
_NOT_OF_A_RELEASE = frozenset(
    {
        *("test", "test-success", "test-failure"),
        *("pre-delete", "post-delete"),
        *("pre-rollback", "post-rollback"),
    }
)
_WITHOUT_NAMESPACE = frozenset(
    {
        "Namespace",
        "ClusterRole",
        "ClusterRoleBinding",
        "CustomResourceDefinition",
        "PersistentVolume",
        "StorageClass",
    }
)


@dataclass(frozen=True, slots=True)
class Found(Generic[M]):
    """A manifest, checked, with its place and its raw form."""

    place: Place
    manifest: M
    raw: Mapping[str, Any]

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name."""
        return self.manifest.metadata.namespace, self.manifest.metadata.name

    @property
    def title(self) -> str:
        """How reports name it: ``Kind/name``."""
        return f"{self.manifest.kind}/{self.manifest.metadata.name}"


@dataclass(frozen=True, slots=True)
class Inventory:
    """All manifests of a stack.

    ``dashboards``: Grafana JSON that stands in files of its own, by the file's stem. ``wrong``: the kinds
    of objects that could not be read, so that those are not called absent too. ``hooks``: objects of a
    rendered Helm chart that its installation does not make, with the reason.
    """

    all: tuple[Found[Manifest], ...]
    dashboards: Mapping[str, Mapping[str, Any]]
    wrong: frozenset[str]
    hooks: tuple[str, ...] = ()

    def of(self, model: type[N]) -> tuple[Found[N], ...]:
        """The manifests of one kind, in the order of their files."""
        return tuple(
            Found(found.place, found.manifest, found.raw) for found in self.all if isinstance(found.manifest, model)
        )

    def get(self, model: type[N], namespace: str, name: str) -> Found[N] | None:
        """The manifest of this kind and name; None when the stack has none."""
        return next((found for found in self.of(model) if found.key == (namespace, name)), None)

    def namespace_labels(self, namespace: str) -> dict[str, str]:
        """A namespace's labels, with the one the API server adds; a namespace need not be written down to
        exist.
        """
        labels = {"kubernetes.io/metadata.name": namespace}
        for found in self.of(manifests.NamespaceManifest):
            if found.manifest.metadata.name == namespace:
                labels = {**found.manifest.metadata.labels, **labels}
        return labels

    def ignored(self) -> tuple[str, ...]:
        """Objects no part of the stack's reading uses, as ``Kind/name``."""
        return tuple(found.title for found in self.all if type(found.manifest) is Manifest)

    def config_map(self, namespace: str, name: str) -> dict[str, str] | None:
        """A ConfigMap's text entries; None when there is no such ConfigMap."""
        found = self.get(manifests.ConfigMapManifest, namespace, name)
        return None if found is None else dict(found.manifest.data)

    def config_map_files(self, namespace: str, name: str) -> dict[str, str] | None:
        """All a ConfigMap's entries, as ``Volume.files`` has them; None when there is no such ConfigMap."""
        found = self.get(manifests.ConfigMapManifest, namespace, name)
        return None if found is None else {**found.manifest.data, **_decoded(found.manifest.binary_data)}

    def secret(self, namespace: str, name: str) -> dict[str, str] | None:
        """A Secret's entries decoded; None when there is no such Secret."""
        found = self.get(manifests.SecretManifest, namespace, name)
        if found is None:
            return None
        decoded = {key: decode_secret(value) for key, value in found.manifest.data.items()}
        return {**decoded, **found.manifest.string_data}

    def secret_files(self, namespace: str, name: str) -> dict[str, str] | None:
        """All a Secret's entries, as ``Volume.files`` has them; None when there is no such Secret."""
        found = self.get(manifests.SecretManifest, namespace, name)
        return None if found is None else {**_decoded(found.manifest.data), **found.manifest.string_data}


def take_inventory(documents: Sequence[Document], mistakes: list[Mistake]) -> Inventory:
    """Every document as the manifest its kind asks for; mistakes are appended."""
    found: list[Found[Manifest]] = []
    dashboards: dict[str, Mapping[str, Any]] = {}
    seen: dict[tuple[str, ...], Place] = {}
    wrong: set[str] = set()
    hooks: list[str] = []
    for document in documents:
        if "kind" not in document.value and isinstance(document.value.get("panels"), list):
            dashboards[document.place.file.stem] = document.value
            continue
        one = _read(document, mistakes)
        if one is None:
            wrong.add(str(document.value.get("kind")))
            continue
        called = _hooks(one.manifest)
        if called and called <= _NOT_OF_A_RELEASE:
            hooks.append(f"{one.title}: a Helm hook ({', '.join(sorted(called))}), no part of what is installed")
            continue
        namespace = "" if one.manifest.kind in _WITHOUT_NAMESPACE else one.manifest.metadata.namespace
        identity = (_group(document.value), one.manifest.kind, namespace, one.manifest.metadata.name)
        if identity in seen:
            mistakes.append(document.place.mistake(f"{one.title} stands already in {seen[identity]}"))
            continue
        seen[identity] = document.place
        found.append(one)
    return Inventory(tuple(found), dashboards, frozenset(wrong), tuple(hooks))


def decode_secret(value: str, *, errors: str = "replace") -> str:
    """The text a Secret's base64 entry holds; bytes that are not UTF-8 are replaced. Raises ValueError."""
    try:
        return base64.b64decode("".join(value.split()), validate=True).decode("utf-8", errors=errors)
    except binascii.Error as error:
        raise ValueError(f"is not base64: {error}") from error


def _decoded(entries: Mapping[str, str]) -> dict[str, str]:
    return {key: decode_secret(value, errors="surrogateescape") for key, value in entries.items()}


def _encoded(manifest: Manifest) -> Mapping[str, Mapping[str, str]]:
    """What of a manifest has to be base64, by its key."""
    if isinstance(manifest, manifests.SecretManifest):
        return {"data": manifest.data}
    return {"binaryData": manifest.binary_data} if isinstance(manifest, manifests.ConfigMapManifest) else {}


def _read(document: Document, mistakes: list[Mistake]) -> Found[Manifest] | None:
    kind, version = document.value.get("kind"), document.value.get("apiVersion")
    if not isinstance(kind, str) or not isinstance(version, str) or not kind or not version:
        mistakes.append(document.place.mistake("is no Kubernetes object: needs apiVersion and kind, both strings"))
        return None
    model = _KINDS.get((_group(document.value), kind), Manifest)
    try:
        manifest = model.model_validate(document.value)
    except ValidationError as error:
        mistakes.extend(mistakes_of(error, document.place))
        return None
    for where, encoded in _encoded(manifest).items():
        for key, value in encoded.items():
            try:
                decode_secret(value)
            except ValueError as error:
                mistakes.append(document.place.at(where, key).mistake(str(error)))
                return None
    return Found(document.place, manifest, document.value)


def _hooks(manifest: Manifest) -> set[str]:
    """The moments at which Helm makes the object; empty for one that belongs to the release itself."""
    return {name.strip() for name in manifest.metadata.annotations.get(_HOOK, "").split(",")} - {""}


def _group(value: Mapping[str, Any]) -> str:
    group, slash, _ = str(value.get("apiVersion", "")).rpartition("/")
    return group if slash else ""
