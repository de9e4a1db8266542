"""Who makes Prometheus and Alertmanager of their objects: the cluster's own operator, or this harness."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.environments.kube.kubectl import Kubectl
from harness.errors import HarnessError
from harness.stack import Stack

_GROUP = "monitoring.coreos.com"
_NEEDED = ("prometheuses", "alertmanagers", "alertmanagerconfigs", "prometheusrules", "servicemonitors")
_CONTROLLER = "app.kubernetes.io/name=prometheus-operator"


@dataclass(frozen=True, slots=True)
class Form:
    """``by_operator``: the monitoring objects are applied as they are, else rendered; ``why``, for the report."""

    by_operator: bool
    why: str


def choose_form(admin: Kubectl, stack: Stack, *, time_scale: float, discovers: Callable[[], bool]) -> Form:
    """How a stack's monitoring objects get into this cluster; the one place that decides it.

    As they are where the operator's kinds and a running controller are there, unless that would change nothing of what
    the run needs changed: durations that are compressed, and notifications that would leave the cluster. ``discovers``:
    whether the image of Prometheus can discover targets as the operator configures it. Raises HarnessError when the
    cluster cannot be asked.
    """
    missing = _missing_kinds(admin)
    if missing:
        return _rendered(f"the cluster does not know {', '.join(missing)}")
    if not _controller_runs(admin):
        return _rendered("the cluster knows its kinds, but no controller runs")
    if time_scale != 1:
        return _rendered("its objects hold durations, which are compressed; --time-scale 1 leaves them to it")
    leaving = sorted({receiver.name for receiver in stack.spec.receivers if receiver.captured})
    if leaving:
        return _rendered(f"it would notify people outside the cluster: {', '.join(leaving)}")
    if not discovers():
        return _rendered("its image of Prometheus lacks the Kubernetes discovery that the operator configures")
    return Form(True, "the Prometheus operator of the cluster makes Prometheus and Alertmanager of their objects")


def _rendered(why: str) -> Form:
    return Form(False, f"the Prometheus operator: its objects are rendered to plain StatefulSets, since {why}")


def _missing_kinds(admin: Kubectl) -> list[str]:
    try:
        known = admin.run("api-resources", f"--api-group={_GROUP}", "-o", "name").decode().split()
    except HarnessError:  # discovery of some other group may fail; then this one is not to be relied on either
        known = []
    return [name for name in _NEEDED if f"{name}.{_GROUP}" not in known]


def _controller_runs(admin: Kubectl) -> bool:
    try:
        found = admin.get("deployments", "--all-namespaces", "-l", _CONTROLLER)["items"]
    except HarnessError:  # whoever lends namespaces need not show the others
        return False
    return any(each.get("status", {}).get("availableReplicas") for each in found)
