"""Where load may be sent: this machine, or one host that was named on purpose."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

# Names the one host beyond this machine that may be loaded.
ALLOW_VARIABLE = "HARNESS_LOAD_ALLOW"


class TargetRefused(ValueError):
    """Load must not be sent there; the message says why and what to do."""


def check_target(url: str, *, allowed: str | None, resolve: Callable[[str], Iterable[str]] | None = None) -> None:
    """Nothing when load may go to ``url``: its host has loopback addresses only, or is the one ``allowed``.

    ``allowed`` is compared whole, without patterns and without regard to case. ``resolve`` gives a host's
    addresses; by default the system's resolver. Raises TargetRefused otherwise.
    """
    parts = urlsplit(url)
    host = parts.hostname
    if parts.scheme not in ("http", "https") or not host:
        raise TargetRefused(f"load target {url!r}: expected a URL such as http://127.0.0.1:8080")
    if allowed and allowed.lower() == host:
        return
    addresses = tuple((resolve or _addresses)(host))
    outside = [address for address in addresses if not ipaddress.ip_address(address).is_loopback]
    if outside or not addresses:
        seen = ", ".join(outside) or "no address"
        raise TargetRefused(
            f"load target {url!r}: {host} has {seen}, which is not this machine; "
            f"to load it on purpose, set {ALLOW_VARIABLE}={host}"
        )


def _addresses(host: str) -> tuple[str, ...]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise TargetRefused(f"load target: {host} cannot be resolved: {error}") from error
    return tuple({str(entry[4][0]).partition("%")[0] for entry in found})
