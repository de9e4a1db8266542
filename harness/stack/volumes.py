"""Volumes of pod templates, with the content of what they show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from harness.errors import Mistake
from harness.stack.inventory import Inventory
from harness.stack.manifests import ClaimManifest
from harness.stack.objects import Volume
from harness.stack.places import Place
from harness.stack.pod_manifests import DownwardItem, HostPath, KeyToPath, ProjectedSource, VolumeFields
from harness.stack.quantities import parse_bytes

# Host paths of these types are no directories; of the empty one, which checks nothing, nobody can say.
_DIRECTORIES = ("", "Directory", "DirectoryOrCreate")


def absent(kind: str, name: str, namespace: str) -> str:
    """What is wrong with a reference to an object that the stack does not hold."""
    return f"needs {kind} {name} in namespace {namespace}, which the stack does not hold"


@dataclass(frozen=True, slots=True)
class VolumeReader:
    """Reads the volumes of one namespace's pods; what is wrong is appended to ``mistakes``."""

    inventory: Inventory
    namespace: str
    mistakes: list[Mistake]

    def read(self, fields: VolumeFields, place: Place) -> Volume:
        """The volume; one of a kind that is not read keeps that kind as it is written."""
        if fields.config_map is not None:
            name, inner = fields.config_map.name, place.at("configMap")
            files = self._config_map(name, fields.config_map.items, inner, optional=fields.config_map.optional)
            return Volume(fields.name, "config_map", name, None, files)
        if fields.secret is not None:
            name, inner = fields.secret.secret_name, place.at("secret")
            files = self._secret(name, fields.secret.items, inner, optional=fields.secret.optional)
            return Volume(fields.name, "secret", name, None, files)
        if fields.persistent_volume_claim is not None:
            return self._claim(fields.name, fields.persistent_volume_claim.claim_name, place)
        if fields.host_path is not None:
            return _host_path(fields.name, fields.host_path)
        if fields.projected is not None:
            return self._projected(fields.name, fields.projected.sources, place.at("projected"))
        if fields.downward_api is not None:
            told = _Projection()
            told.add_fields(fields.downward_api.items)
            return told.volume(fields.name)
        other = next((key for key in fields.model_extra or {}), None)
        if fields.empty_dir is None and other is not None:
            return Volume(fields.name, other, "", None)
        limit = fields.empty_dir.size_limit if fields.empty_dir else None
        return Volume(fields.name, "empty_dir", "", parse_bytes(limit) if limit else None)

    def _projected(self, name: str, sources: Sequence[ProjectedSource], place: Place) -> Volume:
        found = _Projection()
        for index, source in enumerate(sources):
            inner = place.at("sources", index)
            if (ref := source.config_map) is not None:
                files = self._config_map(ref.name, ref.items, inner.at("configMap"), optional=ref.optional)
                found.files.update(files)
            if (ref := source.secret) is not None:
                files = self._secret(ref.name, ref.items, inner.at("secret"), optional=ref.optional)
                found.files.update(files)
            if source.downward_api is not None:
                found.add_fields(source.downward_api.items)
            found.left_out.extend(source.model_extra or ())
        return found.volume(name)

    def _claim(self, name: str, claim: str, place: Place) -> Volume:
        found = self.inventory.get(ClaimManifest, self.namespace, claim)
        if found is None:
            key = place.at("persistentVolumeClaim", "claimName")
            self.mistakes.append(key.mistake(absent("PersistentVolumeClaim", claim, self.namespace)))
            return Volume(name, "claim", claim, None)
        size = found.manifest.spec.resources.requests.get("storage")
        return Volume(name, "claim", claim, parse_bytes(size) if size else None)

    def _config_map(
        self, name: str, items: Sequence[KeyToPath] | None, place: Place, *, optional: bool
    ) -> dict[str, str]:
        entries = self.inventory.config_map_files(self.namespace, name)
        if entries is None and not optional:
            self.mistakes.append(place.mistake(absent("ConfigMap", name, self.namespace)))
        return self._files(entries, items, place)

    def _secret(self, name: str, items: Sequence[KeyToPath] | None, place: Place, *, optional: bool) -> dict[str, str]:
        entries = self.inventory.secret_files(self.namespace, name)
        if entries is None and not optional:
            self.mistakes.append(place.mistake(absent("Secret", name, self.namespace)))
        return self._files(entries, items, place)

    def _files(
        self, entries: Mapping[str, str] | None, items: Sequence[KeyToPath] | None, place: Place
    ) -> dict[str, str]:
        if entries is None or items is None:
            return dict(entries or {})
        for index, item in enumerate(items):
            if item.key not in entries:
                self.mistakes.append(place.at("items", index, "key").mistake(f"there is no key {item.key!r}"))
        return {item.path: entries[item.key] for item in items if item.key in entries}


@dataclass(frozen=True, slots=True)
class _Projection:
    """What the sources of a projected volume make together; of two that make one file, the later."""

    files: dict[str, str] = field(default_factory=dict)
    fields: dict[str, str] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    def volume(self, name: str) -> Volume:
        return Volume(name, "projected", "", None, self.files, self.fields, tuple(self.left_out))

    def add_fields(self, items: Sequence[DownwardItem]) -> None:
        for item in items:
            if item.field_ref is not None:
                self.fields[item.path] = item.field_ref.field_path
            else:
                self.left_out.append(f"{item.path} of the downward API")


def _host_path(name: str, fields: HostPath) -> Volume:
    return Volume(name, "host_path" if fields.type in _DIRECTORIES else "host_file", fields.path, None)
