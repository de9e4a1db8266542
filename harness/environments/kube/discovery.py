"""Kubernetes discovery for a Prometheus built without it, beside it in its pod, over its HTTP discovery.

    python -m harness.environments.kube.discovery --port 9190

``GET /targets?role=endpoints&namespace=a&namespace=b`` lists targets as Prometheus's own discovery would. It asks the
API server with the pod's own service account: a right the account lacks leaves Prometheus without targets of that
namespace, as it would there.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests

from harness.direct import direct_session
from harness.environments.kube.discovered import endpoint_targets, pod_targets

PORT = 9190
_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_TIMEOUT_S = 5.0
# Prometheus asks for each scrape pool; they share one look at the cluster.
_FRESH_S = 0.8


class Discovery:
    """What the API server says, looked at again after ``fresh_s``. Safe to use from several threads."""

    def __init__(self, url: str, account: Path = _ACCOUNT, fresh_s: float = _FRESH_S) -> None:
        self._url = url
        self._account = account
        self._fresh_s = fresh_s
        self._lock = threading.Lock()
        self._seen: dict[str, tuple[float, list[Mapping[str, Any]]]] = {}
        # Kept open: every connection anew would cost the API server, and this node, more than what is asked.
        self._session = direct_session()

    def targets(self, role: str, namespaces: Sequence[str]) -> list[dict[str, Any]]:
        """The targets of a role, ``endpoints`` or ``pod``; without namespaces of all of them.

        Of several namespaces those the account may not read are passed over. Raises requests.RequestException when
        the API server cannot be asked, or refuses all.
        """
        found: list[dict[str, Any]] = []
        refusals: list[requests.HTTPError] = []
        places = [f"/namespaces/{each}" for each in namespaces] or [""]
        with self._lock:
            for place in places:
                try:
                    found += self._targets_in(role, place)
                except requests.HTTPError as error:
                    if error.response.status_code != requests.codes.forbidden:
                        raise
                    sys.stderr.write(f"discovery: {error}\n")
                    refusals.append(error)
        if len(refusals) == len(places):
            raise refusals[0]
        return found

    def _targets_in(self, role: str, place: str) -> list[dict[str, Any]]:
        pods = self._list("pods", place)
        if role == "pod":
            return pod_targets(pods)
        return endpoint_targets(self._list("endpoints", place), self._list("services", place), pods)

    def _list(self, kind: str, place: str) -> list[Mapping[str, Any]]:
        # Any version will do that the API server remembers; without this it reads its store anew each time.
        return self._look(f"{self._url}/api/v1{place}/{kind}?resourceVersion=0")

    def _look(self, url: str) -> list[Mapping[str, Any]]:
        seen_s, items = self._seen.get(url, (float("-inf"), []))
        if time.monotonic() - seen_s > self._fresh_s:
            token = (self._account / "token").read_text(encoding="utf-8")
            answer = self._session.get(
                url,
                headers={"Authorization": f"Bearer {token}"},
                verify=str(self._account / "ca.crt"),
                timeout=_TIMEOUT_S,
            )
            answer.raise_for_status()
            items = list(answer.json()["items"] or [])
            self._seen[url] = (time.monotonic(), items)
        return items


def serve(discovery: Discovery, port: int) -> ThreadingHTTPServer:
    """The server, bound to the pod's loopback but not yet serving."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            asked = parse_qs(parts.query)
            if parts.path != "/targets":
                self.send_error(404)
                return
            try:
                found = discovery.targets(asked.get("role", ["endpoints"])[0], asked.get("namespace", []))
            except (requests.RequestException, OSError, ValueError, KeyError, TypeError) as error:
                sys.stderr.write(f"discovery: {error}\n")
                self.send_error(503)
                return
            body = json.dumps(found).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing: Prometheus asks every second."""

    return ThreadingHTTPServer(("127.0.0.1", port), Handler)


def main() -> None:
    """Serves until it is ended."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=PORT, help="on 127.0.0.1 (%(default)s)")
    options = parser.parse_args()
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    serve(Discovery(f"https://{host}:{port}"), options.port).serve_forever()


if __name__ == "__main__":
    main()
