"""What a Prometheus or Alertmanager object says and no rendering of it carries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.stack.operator_manifests import OperatedSpec

# How a cluster is to run the pods: without one there is nothing that could.
_OF_A_CLUSTER = frozenset(
    {
        *("affinity", "nodeSelector", "priorityClassName", "tolerations", "topologySpreadConstraints"),
        *("automountServiceAccountToken", "hostUsers", "imagePullPolicy", "imagePullSecrets", "resources"),
        *("maximumStartupDurationSeconds", "minReadySeconds", "podManagementPolicy", "securityContext"),
        *("dnsConfig", "dnsPolicy", "persistentVolumeClaimRetentionPolicy", "terminationGracePeriodSeconds"),
        *("updateStrategy",),
    }
)
# What the pods find in their file systems.
_FILES = frozenset({"configMaps", "secrets"})
# How operators once put an image's name together, and what they take from its version.
_OF_THE_IMAGE = frozenset({"baseImage", "sha", "tag", "version"})
# False says something only where the operator, or the program, takes true for granted.
_TRUE_UNLESS_SAID = frozenset({"automountServiceAccountToken", "hostUsers", "walCompression"})


def left_out(written: Mapping[str, Any], spec: type[OperatedSpec], *, in_cluster: bool) -> tuple[str, ...]:
    """The keys of an object's spec that its rendering leaves out, in their order.

    ``in_cluster``: whether it becomes a StatefulSet; else what says how a cluster runs pods is not named one by one, as
    it is not of any other pod.
    """
    carried = {str(field.alias or name) for name, field in spec.model_fields.items()}
    ignored = carried if in_cluster else (carried - _FILES) | _OF_A_CLUSTER
    if "image" in written:
        ignored |= _OF_THE_IMAGE
    return tuple(key for key, value in written.items() if key not in ignored and _says_something(key, value))


def _says_something(key: str, value: Any) -> bool:
    """Whether leaving it out makes a difference. What is empty says nothing, but for selectors."""
    if key == "shards":
        return bool(value != 1)
    return bool(value) or key.endswith("Selector") or (value is False and key in _TRUE_UNLESS_SAID)
