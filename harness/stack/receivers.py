"""Alertmanager's receivers: their integrations in Alertmanager's spelling, and which of them leave the
machine.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from harness.spec import Receiver
from harness.stack.inventory import Inventory
from harness.stack.objects import Service, Workload

# What each integration does about resolved alerts where its configuration is silent; all others send them.
# Source: prometheus/alertmanager, config/notifiers.go.
_SILENT_ON_RESOLVED = frozenset({"slack", "email", "wechat", "rocketchat"})
_INTEGRATION = re.compile(r"(?P<type>[a-z0-9]+)_configs")
_RESOURCE_INTEGRATION = re.compile(r"(?P<type>[a-zA-Z0-9]+)Configs")


@dataclass(frozen=True, slots=True)
class Network:
    """What is inside: the stack's Services as (namespace, name), and its namespaces."""

    services: frozenset[tuple[str, str]]
    namespaces: frozenset[str]

    @classmethod
    def of(cls, services: Sequence[Service], workloads: Sequence[Workload]) -> Network:
        """What the stack's objects say is inside."""
        return cls(
            services=frozenset((service.namespace, service.name) for service in services),
            namespaces=frozenset({one.namespace for one in services} | {one.namespace for one in workloads}),
        )

    def is_inside(self, host: str) -> bool:
        """Whether a host is this machine or looks like a name of the cluster.

        A name that looks like the cluster's but belongs to no Service counts as inside: delivery then
        fails, as it would on the cluster.
        """
        name = host.lower().rstrip(".")
        try:
            return ipaddress.ip_address(name).is_loopback
        except ValueError:
            pass
        labels = name.split(".")
        if name == "localhost" or len(labels) == 1:
            return True
        if len(labels) == 2:
            return labels[1] in self.namespaces or (labels[1], labels[0]) in self.services
        return labels[-1] == "svc" or name.endswith(".cluster.local")


@dataclass(frozen=True, slots=True)
class Integration:
    """One integration of a receiver. ``leaves``: how reports name it when it would leave the machine, else
    None.
    """

    kind: str
    index: int
    settings: Mapping[str, Any]
    send_resolved: bool
    leaves: str | None


def integrations_of(receiver: Mapping[str, Any], network: Network) -> Iterator[Integration]:
    """A receiver's integrations, in the order they are written."""
    for key, configs in receiver.items():
        match = _INTEGRATION.fullmatch(key)
        if match is None or not isinstance(configs, list):
            continue
        for index, settings in enumerate(configs):
            if isinstance(settings, dict):
                yield _integration(match["type"], index, settings, network)


def describe_receiver(receiver: Mapping[str, Any], network: Network) -> Receiver:
    """What the spec says of a receiver; it tells of resolution when any of its integrations does."""
    found = list(integrations_of(receiver, network))
    return Receiver(
        name=str(receiver.get("name", "")),
        send_resolved=any(one.send_resolved for one in found) if found else None,
        integrations=tuple(one.kind for one in found),
        captured=tuple(one.leaves for one in found if one.leaves is not None),
    )


def receiver_of(
    receiver: Mapping[str, Any], prefixed: Callable[[str], str], namespace: str, inventory: Inventory
) -> dict[str, Any]:
    """An AlertmanagerConfig's receiver in Alertmanager's spelling.

    References to Secrets stay as they are, except a webhook's URL, which decides where the notice goes.
    """
    written: dict[str, Any] = {"name": prefixed(str(receiver.get("name", "")))}
    for key, configs in receiver.items():
        match = _RESOURCE_INTEGRATION.fullmatch(key)
        if match is not None and isinstance(configs, list):
            kind = match["type"].lower()
            written[f"{kind}_configs"] = [_settings(kind, one, namespace, inventory) for one in configs]
    return written


def _settings(kind: str, fields: Mapping[str, Any], namespace: str, inventory: Inventory) -> dict[str, Any]:
    written: dict[str, Any] = {_snake(key): value for key, value in fields.items()}
    reference = written.get("url_secret")
    if kind == "webhook" and isinstance(reference, dict):
        secret = inventory.secret(namespace, str(reference.get("name", ""))) or {}
        url = secret.get(str(reference.get("key", "")))
        if url is not None:
            written["url"] = url.strip()
            del written["url_secret"]
    return written


def _snake(text: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text).lower()


def _integration(kind: str, index: int, settings: Mapping[str, Any], network: Network) -> Integration:
    silent = kind in _SILENT_ON_RESOLVED
    return Integration(
        kind=kind,
        index=index,
        settings=settings,
        send_resolved=bool(settings.get("send_resolved", not silent)),
        leaves=_leaves(kind, settings, network),
    )


def _leaves(kind: str, settings: Mapping[str, Any], network: Network) -> str | None:
    if kind != "webhook":
        return kind
    url = settings.get("url")
    if not isinstance(url, str):
        return "webhook to a URL from a secret"
    # Only the host is named: paths and queries of webhooks carry their credentials.
    host = _host(url)
    return None if host is not None and network.is_inside(host) else f"webhook to {host or 'no readable host'}"


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
