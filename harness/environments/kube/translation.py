"""A stack's manifests as a cluster gets them: as written, with what a run adds, and what the operator would make."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.environments.kube.additions import Additions, adapt_pod
from harness.environments.kube.confinement import confine
from harness.environments.kube.kinds import OPERATOR_GROUP, lies_in_namespace
from harness.environments.kube.operated import operated_objects
from harness.environments.kube.placement import settle
from harness.environments.kube.pod_settings import carry_settings
from harness.environments.kube.vocabulary import CAPTURE_SERVICE, MANAGED, Manifest
from harness.environments.receiver import RECEIVER_LABEL
from harness.stack import Rendered, Stack, Workload

_CONTROLLERS = ("Deployment", "StatefulSet", "DaemonSet", "Job")
_WORKLOADS = (*_CONTROLLERS, "Pod")
# Of these the operator makes pods.
_OPERATED = ("Prometheus", "PrometheusAgent", "Alertmanager", "ThanosRuler")
# API groups whose objects every cluster knows what to do with. Those of others need definitions and a controller, and
# a webhook whose server is missing would keep all else out.
_SERVED_GROUPS = frozenset(
    {
        *("", "apps", "autoscaling", "batch", "policy"),
        *(f"{name}.k8s.io" for name in ("coordination", "discovery", "networking", "node")),
        *(f"{name}.k8s.io" for name in ("rbac.authorization", "scheduling", "storage")),
    }
)
# These would run pods that no part of the harness knows of, with images that nobody mapped.
_LEFT_OUT = ("CronJob", "ReplicaSet", "ReplicationController")
# Every cluster has them, and whoever deletes one has lost more than a run's objects.
_NEVER_MADE = frozenset({"default", "kube-node-lease", "kube-public", "kube-system"})
_TTL = "ttlSecondsAfterFinished"
# Kinds in the order in which they have to be there.
_ORDER = ("Namespace", "StorageClass", "PriorityClass", "ServiceAccount", "Secret", "ConfigMap")
_LAST = (*_CONTROLLERS, "Pod")
_RECEIVER_PORT = 8080


@dataclass(frozen=True, slots=True)
class Translation:
    """Objects in the order in which they can be made, and what was changed or left out, for the report."""

    objects: tuple[Manifest, ...]
    notes: tuple[str, ...]


def translate(stack: Stack, rendered: Mapping[str, Rendered], additions: Additions) -> Translation:
    """The stack for a cluster: its monitoring objects rendered unless an operator is there, all else as written."""
    notes: list[str] = []
    documents = [each for each in stack.documents if additions.by_operator or not _is_operators(each)]
    written = [each for each in documents if _is_operators(each) or _is_served(each, notes)]
    objects = [_adapt(copy.deepcopy(dict(document)), additions, notes) for document in written]
    have = {_key(each) for each in objects}
    for workload in stack.workloads:
        if workload.operated and not additions.by_operator:
            objects += _operated(workload, stack, rendered, additions, have, notes)
    made = () if additions.by_operator else stack.services
    objects += [_service(stack, each.namespace, each.name) for each in made if _missing(each, have)]
    receiver = next(each for each in stack.workloads if RECEIVER_LABEL.items() <= each.labels.items())
    if (receiver.kind, receiver.namespace, receiver.name) not in have:
        objects += operated_objects(receiver, None, storage=additions.storage)
    objects.append(_capture_service(receiver))
    named = {each[2] for each in have if each[0] == "Namespace"}
    objects += [_namespace(name) for name in sorted(_namespaces(objects) - named - _NEVER_MADE)]
    if additions.lent is not None:
        objects = list(confine(objects, additions.lent, notes))
    else:
        settle(objects, notes)
    for each in objects:
        _finish(each, additions)
    ordered = sorted(objects, key=_rank)
    return Translation(tuple(ordered), tuple(dict.fromkeys(notes)))


def _operated(
    workload: Workload,
    stack: Stack,
    rendered: Mapping[str, Rendered],
    additions: Additions,
    have: set[tuple[str, str, str]],
    notes: list[str],
) -> list[dict[str, Any]]:
    """What becomes of a Prometheus or Alertmanager object; ``have``: what is written down."""
    program, title = workload.containers[0].name, f"{workload.kind}/{workload.name}"
    written = stack.prometheus if program == "prometheus" else stack.alertmanager
    wanted = _wanted_class(written)
    _choose_class(wanted, title, additions, notes)
    made = operated_objects(
        workload,
        rendered.get(program),
        storage=additions.storage,
        wanted_class=wanted,
        discovery_image=additions.discovery_image if program == "prometheus" else None,
    )
    pod = made[-1]["spec"]["template"]["spec"]
    missing = carry_settings(pod, written, lambda kind, name: (kind, workload.namespace, name) in have)
    notes += [f"{title}: {each}" for each in missing]
    return made


def _wanted_class(written: Manifest) -> str | None:
    """The storage class the Prometheus or Alertmanager object names."""
    template = (written.get("storage") or {}).get("volumeClaimTemplate") or {}
    name = (template.get("spec") or {}).get("storageClassName")
    return str(name) if name else None


def _is_operators(document: Manifest) -> bool:
    return str(document.get("apiVersion", "")).startswith(f"{OPERATOR_GROUP}/")


def _is_served(document: Manifest, notes: list[str]) -> bool:
    group, slash, _ = str(document.get("apiVersion", "")).rpartition("/")
    served = (group if slash else "") in _SERVED_GROUPS and document["kind"] not in _LEFT_OUT
    if not served:
        notes.append(f"{document['kind']}/{document['metadata']['name']}: needs a controller that is not here")
    return served


def _missing(service: Any, have: set[tuple[str, str, str]]) -> bool:
    return ("Service", service.namespace, service.name) not in have


def _key(each: Manifest) -> tuple[str, str, str]:
    metadata = each["metadata"]
    return str(each["kind"]), str(metadata.get("namespace", "default")), str(metadata["name"])


def _rank(each: Manifest) -> int:
    kind = each["kind"]
    if kind in _ORDER:
        return _ORDER.index(kind)
    return len(_ORDER) + (1 if kind in _LAST else 0)


def _namespaces(objects: Sequence[Manifest]) -> set[str]:
    return {str(each["metadata"]["namespace"]) for each in objects if "namespace" in each["metadata"]}


def _namespace(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def _service(stack: Stack, namespace: str, name: str) -> dict[str, Any]:
    """A Service the operator would make: it names its pods before they are ready, so that they find each other."""
    service = next(each for each in stack.services if (each.namespace, each.name) == (namespace, name))
    ports = [{"name": port.name, "port": port.port, "targetPort": port.target} for port in service.ports]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace, "labels": dict(service.labels)},
        "spec": {
            **({"clusterIP": "None"} if service.headless else {}),
            "publishNotReadyAddresses": True,
            "selector": dict(service.selector),
            "ports": ports,
        },
    }


def _capture_service(receiver: Workload) -> dict[str, Any]:
    """Stands for the world outside, which is there also while the cluster takes the receiver's node for lost."""
    port = next(iter(receiver.containers[0].ports.values()), _RECEIVER_PORT)
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": CAPTURE_SERVICE, "namespace": receiver.namespace},
        "spec": {
            "publishNotReadyAddresses": True,
            "selector": dict(RECEIVER_LABEL),
            "ports": [{"name": "http", "port": 8080, "targetPort": port}],
        },
    }


def _adapt(document: dict[str, Any], additions: Additions, notes: list[str]) -> dict[str, Any]:
    """A written object with what this run changes in it."""
    kind, metadata = document["kind"], document["metadata"]
    title = f"{kind}/{metadata['name']}"
    if lies_in_namespace(kind):  # written down, since the namespace of the kubeconfig's context may be another one
        metadata["namespace"] = metadata.get("namespace") or "default"
    else:
        metadata.pop("namespace", None)
    if kind in _WORKLOADS:
        spec = document["spec"] if kind == "Pod" else document["spec"]["template"]["spec"]
        adapt_pod(spec, title, additions, notes)
    if kind == "Job" and document["spec"].pop(_TTL, None) is not None:
        notes.append(f"{title}: {_TTL} is left out, pods that were done would be gone before it was seen")
    for claim in _claims(document):
        wanted = claim.get("spec", {}).get("storageClassName")
        if wanted:
            claim["spec"]["storageClassName"] = _choose_class(wanted, title, additions, notes)
    return document


def _choose_class(wanted: str | None, title: str, additions: Additions, notes: list[str]) -> str | None:
    chosen = additions.storage.choose(wanted)
    if wanted and chosen != wanted:
        notes.append(f"{title}: there is no storage class {wanted} here, it gets {chosen or 'none'}")
    return chosen


def _claims(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if document["kind"] == "PersistentVolumeClaim":
        yield document
    if document["kind"] == "StatefulSet":
        yield from document["spec"].get("volumeClaimTemplates", [])
    elif document["kind"] in _OPERATED:
        claim = (document["spec"].get("storage") or {}).get("volumeClaimTemplate")
        yield from [claim] if claim else []


def _finish(each: dict[str, Any], additions: Additions) -> None:
    """What every object of a run gets, whoever wrote it: the run's label, also on all that a controller makes of it,
    which has to be found by it too; and the images of this place. Where an operator's object names none, the operator
    decides.
    """
    for made in (each, *_made_of(each)):
        metadata = made.setdefault("metadata", {})
        metadata["labels"] = {**(metadata.get("labels") or {}), MANAGED: additions.run}
    for container in _with_images(each):
        reference, pull = additions.image(container["image"])
        container["image"] = reference
        if not pull:
            container["imagePullPolicy"] = "Never"


def _with_images(each: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Wherever an object names an image, ``imagePullPolicy`` being beside it."""
    if each["kind"] in _WORKLOADS:
        spec = each["spec"] if each["kind"] == "Pod" else each["spec"]["template"]["spec"]
        yield from (*spec.get("initContainers", []), *spec["containers"])
    elif each["kind"] in _OPERATED and each["spec"].get("image"):
        yield each["spec"]


def _made_of(each: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The templates of what controllers and the operator make of an object: pods, and claims, which outlive them."""
    if each["kind"] in _CONTROLLERS:
        yield each["spec"]["template"]
        yield from each["spec"].get("volumeClaimTemplates", [])
    elif each["kind"] in _OPERATED:
        spec = each.setdefault("spec", {})
        spec["podMetadata"] = spec.get("podMetadata") or {}
        yield {"metadata": spec["podMetadata"]}
        claim = (spec.get("storage") or {}).get("volumeClaimTemplate")
        yield from [claim] if claim else []
