"""HTTP without a detour: what is under test runs on this machine, whatever proxy the machine's user has set."""

from __future__ import annotations

import requests
from requests.adapters import HTTPAdapter


def direct_session() -> requests.Session:
    """A session that ignores proxies and credentials of the surroundings and never tries again.

    A poll that fails is evidence; trying again inside the client would hide it.
    """
    session = requests.Session()
    session.trust_env = False
    # Packing costs both sides more than loopback does.
    session.headers["Accept-Encoding"] = "identity"
    session.mount("http://", HTTPAdapter(max_retries=0))
    return session
