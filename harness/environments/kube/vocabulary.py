"""Names by which the harness knows its own things in a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Carried by every object the harness makes, with the run's name; namespaces it may act in have it too.
MANAGED = "harness/run"
# A namespace somebody lent to the harness in a cluster of theirs.
ALLOWED = "harness/allowed"
# Where the harness keeps what is its own: its account, the load, a receiver for stacks without one.
NAMESPACE = "harness"
ACCOUNT = "harness"
CAPTURE_SERVICE = "harness-capture"
# How many replicas a workload had before the harness took some away.
REPLICAS = "harness/replicas"
# Changed to make a kubelet look at a pod, and so at its ConfigMaps, at once.
TOUCHED = "harness/touched"

Manifest = Mapping[str, Any]


def labelled(manifest: Manifest, run: str) -> dict[str, Any]:
    """An object with the run's label."""
    metadata = manifest["metadata"]
    return {**manifest, "metadata": {**metadata, "labels": {**(metadata.get("labels") or {}), MANAGED: run}}}
