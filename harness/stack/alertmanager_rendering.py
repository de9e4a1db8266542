"""A stack → the configuration of its Alertmanagers, with time compressed and nothing leaving the machine."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

from harness.clock import parse_duration
from harness.stack.alertmanager_manifests import AlertmanagerSpec
from harness.stack.left_out import left_out
from harness.stack.manifests import secret_references
from harness.stack.objects import Rendered, Stack
from harness.stack.operated import MESH_PORT
from harness.stack.prometheus_rendering import compressed, write_yaml
from harness.stack.receivers import Integration, Network, integrations_of
from harness.stack.routing import DEFAULT_WAITS

HostAddresses = Mapping[str, str] | Callable[[str], str | None]
_RESOLVE_TIMEOUT = "5m"
# Below these, real networking and processes need the time, however short the stack's own durations become.
_MIN_GOSSIP_S = 0.02
_MIN_PUSHPULL_S = 1.0
# What of the global section holds durations or how messages look; the rest names services outside.
_GLOBAL_KEYS = ("http_config", "resolve_timeout")


def render_alertmanager(
    stack: Stack,
    *,
    time_scale: float,
    capture_url: str | None,
    host_addresses: HostAddresses,
    in_cluster: bool = False,
) -> Rendered:
    """``alertmanager.yml`` and the cluster's flags.

    Every integration that would leave the machine becomes a webhook to ``capture_url`` that keeps its
    ``send_resolved``; with None it is left out. Each is named in the notes, its receiver stays. Webhooks to
    the stack's own Services stay as they are. ``host_addresses`` gives the address of a pod's host name
    (``<pod>.alertmanager-operated.<namespace>.svc``); a peer it does not know is left to be resolved by
    name. ``in_cluster``: whether it is for pods of a cluster. Raises ValueError when the time scale is not above zero.
    """
    if not time_scale > 0:
        raise ValueError(f"the time scale is {time_scale:g}, need a number above 0")
    if stack.alertmanager_name is None:
        return Rendered(files={}, flags=(), notes=("the stack has no Alertmanager",))
    written: dict[str, Any] = copy.deepcopy(dict(stack.alertmanager_config))
    notes: list[str] = []
    network = Network.of(stack.services, stack.workloads)
    receivers = [_receiver(one, network, capture_url, notes) for one in written.get("receivers", [])]
    route = _route(written["route"], time_scale)
    for key, default in DEFAULT_WAITS.items():
        route.setdefault(key, compressed(parse_duration(default), time_scale))
    configuration: dict[str, Any] = {
        "global": _global(written.get("global", {}), time_scale, notes),
        "route": route,
        "receivers": receivers,
    }
    for key in ("inhibit_rules", "mute_time_intervals", "time_intervals"):
        if written.get(key):
            configuration[key] = written[key]
    if written.get("mute_time_intervals") or written.get("time_intervals"):
        notes.append("time intervals follow the calendar and are not compressed")
    if written.get("templates"):
        notes.append("templates are left out")
    unused = left_out(stack.alertmanager, AlertmanagerSpec, in_cluster=in_cluster)
    notes += [f"Alertmanager/{stack.alertmanager_name[1]}: {key} is left out" for key in unused]
    return Rendered(
        files={"alertmanager.yml": write_yaml(configuration)},
        flags=_flags(stack, time_scale, host_addresses),
        notes=tuple(notes),
    )


def _receiver(
    receiver: Mapping[str, Any], network: Network, capture_url: str | None, notes: list[str]
) -> dict[str, Any]:
    webhooks: list[dict[str, Any]] = []
    for one in integrations_of(receiver, network):
        what = f"receiver {receiver['name']}: {one.leaves}"
        if one.leaves is None:
            webhooks.append(_inside(one, str(receiver["name"]), notes))
        elif capture_url is None:
            notes.append(f"{what} is left out, it would leave the machine")
        else:
            notes.append(f"{what} goes to the run's own receiver, it would leave the machine")
            webhooks.append({"url": capture_url, "send_resolved": one.send_resolved})
    return {"name": receiver["name"], **({"webhook_configs": webhooks} if webhooks else {})}


def _inside(integration: Integration, receiver: str, notes: list[str]) -> dict[str, Any]:
    written = dict(integration.settings)
    for key in sorted(written):
        # Credentials for a Service of the stack live in Secrets that only the operator mounts.
        if key not in ("url", "send_resolved", "max_alerts") and (key != "http_config" or _foreign(written[key])):
            notes.append(f"receiver {receiver}: {key} of webhook {integration.index} is left out")
            del written[key]
    return written


def _foreign(http_config: Any) -> bool:
    if not isinstance(http_config, dict) or secret_references(http_config):
        return True
    return any(key != key.lower() or key.endswith("_file") or key == "tls_config" for key in http_config)


def _route(route: Mapping[str, Any], time_scale: float) -> dict[str, Any]:
    written = dict(route)
    for key in DEFAULT_WAITS:
        if key in written:
            written[key] = compressed(parse_duration(str(written[key])), time_scale)
    if "routes" in written:
        written["routes"] = [_route(child, time_scale) for child in written["routes"]]
    return written


def _global(written: Mapping[str, Any], time_scale: float, notes: list[str]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for key, value in written.items():
        if key not in _GLOBAL_KEYS or (key == "http_config" and _foreign(value)):
            notes.append(f"global {key} is left out")
        elif key == "http_config":
            kept[key] = value
    timeout = str(written.get("resolve_timeout", _RESOLVE_TIMEOUT))
    return {"resolve_timeout": compressed(parse_duration(timeout), time_scale), **kept}


def _flags(stack: Stack, time_scale: float, host_addresses: HostAddresses) -> tuple[str, ...]:
    spec = AlertmanagerSpec.model_validate(stack.alertmanager)
    peers = stack.spec.peers
    if peers is None:
        return ()
    look_up = host_addresses.get if isinstance(host_addresses, Mapping) else host_addresses
    hosts = [f"{pod}.alertmanager-operated.{peers.namespace}.svc" for pod in peers.pods]
    timings = {
        "peer-timeout": peers.real_timeout_s(time_scale),
        "gossip-interval": max(_MIN_GOSSIP_S, parse_duration(spec.cluster_gossip_interval) / time_scale),
        "pushpull-interval": max(_MIN_PUSHPULL_S, parse_duration(spec.cluster_pushpull_interval) / time_scale),
        "settle-timeout": max(_MIN_PUSHPULL_S, 60.0 / time_scale),
        # The operator's own value, so that a replaced pod's address is forgotten soon.
        "reconnect-timeout": max(_MIN_PUSHPULL_S, 300.0 / time_scale),
    }
    return (
        *(f"--cluster.peer={look_up(host) or host}:{MESH_PORT}" for host in hosts),
        *(f"--cluster.{flag}={_go_duration(seconds)}" for flag, seconds in timings.items()),
    )


def _go_duration(seconds: float) -> str:
    """Alertmanager's cluster flags are Go durations, which know no days."""
    return f"{seconds:g}s" if seconds < 86_400 else f"{seconds / 3600:g}h"
