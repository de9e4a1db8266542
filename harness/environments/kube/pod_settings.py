"""What a Prometheus or Alertmanager object says of its pods, as the operator puts it into them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

# For each list of names: a volume's kind, how it refers to the object, the object's kind, and the directory below the
# program's own in which the operator shows it (prometheus-operator, pkg/operator: BuildVolumes).
_SHOWN = {
    "secrets": ("secret", "secretName", "Secret", "secrets"),
    "configMaps": ("configMap", "name", "ConfigMap", "configmaps"),
}


def carry_settings(pod: dict[str, Any], written: Mapping[str, Any], held: Callable[[str, str], bool]) -> list[str]:
    """Adds to a pod, the program first in it, its object's resources, pull secrets, Secrets and ConfigMaps.

    ``held``: whether the stack holds an object of this kind and name. One that it does not hold may be in the cluster:
    the pod starts without it, and the result names it.
    """
    program = pod["containers"][0]
    notes: list[str] = []
    if written.get("resources"):
        program["resources"] = copy.deepcopy(written["resources"])
    if written.get("imagePullSecrets"):
        pod["imagePullSecrets"] = copy.deepcopy(written["imagePullSecrets"])
    for key, (volume, reference, kind, directory) in _SHOWN.items():
        for number, name in enumerate(written.get(key, [])):
            source: dict[str, Any] = {reference: name}
            if not held(kind, name):
                source["optional"] = True
                notes.append(f"{kind} {name}: not in the stack, the pod starts without it unless the cluster has it")
            called = f"{directory}-{number}"  # an object's name may be no volume's
            mount = {"name": called, "mountPath": f"/etc/{program['name']}/{directory}/{name}", "readOnly": True}
            pod["volumes"].append({"name": called, volume: source})
            program["volumeMounts"].append(mount)
    return notes
