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
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests

from harness.environments.kube.discovered import endpoint_targets, pod_targets
from harness.environments.kube.watched import Watched

PORT = 9190
_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class Discovery:
    """What the API server says, and goes on saying. Safe to use from several threads."""

    def __init__(self, url: str, account: Path = _ACCOUNT, retry_s: float = 1.0) -> None:
        self._url = url
        self._account = account
        self._retry_s = retry_s
        self._lock = threading.Lock()
        self._watched: dict[str, Watched] = {}
        # Prometheus asks for each scrape pool each second: targets are made anew when something changed.
        self._made: dict[tuple[str, str], tuple[list[int], list[dict[str, Any]]]] = {}

    def targets(self, role: str, namespaces: Sequence[str]) -> list[dict[str, Any]]:
        """The targets of a role, ``endpoints`` or ``pod``; without namespaces of all of them.

        Of several namespaces those the account may not read are passed over. Raises requests.RequestException when
        the API server could not be asked yet, or refuses all.
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

    def close(self) -> None:
        """Nothing is watched any more."""
        with self._lock:
            for watched in self._watched.values():
                watched.close()

    def _targets_in(self, role: str, place: str) -> list[dict[str, Any]]:
        kinds = ("pods",) if role == "pod" else ("endpoints", "services", "pods")
        looks = [self._watch(kind, place).look() for kind in kinds]
        versions = [version for version, _ in looks]
        made = self._made.get((role, place))
        if made is None or made[0] != versions:
            lists = [objects for _, objects in looks]
            made = (versions, pod_targets(*lists) if role == "pod" else endpoint_targets(*lists))
            self._made[role, place] = made
        return made[1]

    def _watch(self, kind: str, place: str) -> Watched:
        url = f"{self._url}/api/v1{place}/{kind}"
        if url not in self._watched:
            self._watched[url] = Watched(url, self._credentials, self._retry_s)
        return self._watched[url]

    def _credentials(self) -> Mapping[str, Any]:
        token = (self._account / "token").read_text(encoding="utf-8")
        return {"headers": {"Authorization": f"Bearer {token}"}, "verify": str(self._account / "ca.crt")}


def serve(discovery: Discovery, port: int) -> ThreadingHTTPServer:
    """The server, bound to the pod's loopback but not yet serving."""

    class Handler(BaseHTTPRequestHandler):
        # Connections are kept: Prometheus asks often.
        protocol_version = "HTTP/1.1"

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
