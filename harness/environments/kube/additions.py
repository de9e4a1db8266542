"""What a run adds to a stack's manifests, and to their pods most of all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.environments.kube.storage import Storage

_GPU_VOLUME = "harness-simulated-gpu"
_GPU_MOUNT = "/run/simulated-gpu"
_GPU_RESOURCES = "nvidia.com/"
# Kubernetes' own, where a pod states none.
_DEFAULT_GRACE_S = 30
# Waits of a pod that a kubelet counts in whole seconds, one at least. What bounds real work stays: a probe's timeout,
# and all of a liveness or startup probe, which would kill for ever what has no time to start.
_READINESS = "readinessProbe"
_READINESS_WAITS = ("periodSeconds", "initialDelaySeconds")
_POD_WAITS = ("terminationGracePeriodSeconds", "activeDeadlineSeconds")


@dataclass(frozen=True, slots=True)
class Additions:
    """What a run adds to a stack's manifests.

    ``image``: the reference a pod has to name for an image, and whether a node may pull it. ``gpu_dir``: the nodes'
    directory with the simulated GPU's state; None where devices are real. ``discovery_image``: of the container that
    discovers targets for Prometheus; None where it does so itself. ``lent``: the only namespaces that may be touched;
    None where the cluster is the harness's own. ``by_operator``: the cluster's own operator makes Prometheus and
    Alertmanager of their objects, which are then applied as they are.
    """

    run: str
    time_scale: float
    image: Callable[[str], tuple[str, bool]]
    gpu_dir: str | None
    gpu_file: str
    storage: Storage
    discovery_image: str | None = None
    lent: Sequence[str] | None = None
    by_operator: bool = False
    variables: Mapping[str, str] = field(default_factory=dict)


def adapt_pod(spec: dict[str, Any], title: str, additions: Additions, notes: list[str]) -> None:
    """Changes a written pod's spec to what this run gives it: the simulated GPU, variables, waits that are compressed.

    ``title``: of the object that is its own, for the notes on what is left out.
    """
    if additions.gpu_dir is not None:
        volume = {"name": _GPU_VOLUME, "hostPath": {"path": additions.gpu_dir, "type": "Directory"}}
        spec["volumes"] = [*spec.get("volumes", []), volume]
    spec.setdefault("terminationGracePeriodSeconds", _DEFAULT_GRACE_S)
    for key in _POD_WAITS:
        _compress(spec, key, additions.time_scale)
    for container in (*spec.get("initContainers", []), *spec["containers"]):
        _adapt_container(container, title, additions, notes)


def _adapt_container(container: dict[str, Any], title: str, additions: Additions, notes: list[str]) -> None:
    if _READINESS in container:
        container[_READINESS].setdefault("periodSeconds", 10)
        for key in _READINESS_WAITS:
            _compress(container[_READINESS], key, additions.time_scale)
    variables = {"TIME_SCALE": f"{additions.time_scale:g}", "PYTHONUNBUFFERED": "1", **additions.variables}
    if additions.gpu_dir is not None:
        variables["SIMULATED_GPU"] = f"{_GPU_MOUNT}/{additions.gpu_file}"
        mount = {"name": _GPU_VOLUME, "mountPath": _GPU_MOUNT}
        container["volumeMounts"] = [*container.get("volumeMounts", []), mount]
        for part in ("limits", "requests"):
            asked: dict[str, Any] = container.get("resources", {}).get(part, {})
            for name in [name for name in asked if name.startswith(_GPU_RESOURCES)]:
                del asked[name]
                notes.append(f"{title}: no {name} is asked for, the device is simulated and shared")
    stated = {variable["name"] for variable in container.get("env", [])}
    added = [{"name": name, "value": value} for name, value in variables.items() if name not in stated]
    # First, so that the manifest's own variables may refer to them.
    container["env"] = [*added, *container.get("env", [])]


def _compress(holder: dict[str, Any], key: str, time_scale: float) -> None:
    if isinstance(holder.get(key), int) and holder[key] > 0:
        holder[key] = max(1, round(holder[key] / time_scale))
