"""The versions of what runs in containers, by what the running programs say of themselves."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

import requests

from harness.direct import direct_session
from harness.environments.local.state import NodeState

_TIMEOUT_S = 5.0
_UNKNOWN = "unknown"


def read_versions(parts: Iterable[str], state: NodeState) -> dict[str, str]:
    """The version of each of these parts of a running node; ``unknown`` where one does not say."""
    asked = {
        "prometheus": (f"{state.prometheus}/api/v1/status/buildinfo", "data"),
        "alertmanager": (f"{next(iter(state.alertmanagers), '')}/api/v2/status", "versionInfo"),
    }
    return {part: _ask(*asked[part]) for part in parts}


def _ask(url: str, key: str) -> str:
    with suppress(requests.RequestException, ValueError, AttributeError):
        with direct_session() as session:
            answer = session.get(url, timeout=_TIMEOUT_S)
        return str(answer.json().get(key, {}).get("version") or _UNKNOWN)
    return _UNKNOWN
