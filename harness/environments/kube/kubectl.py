"""kubectl: every change of a cluster goes through it, always with a kubeconfig and a context of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from harness.errors import HarnessError

_TIMEOUT_S = 60.0
# All annotations of an object together may have 256 KiB.
_ANNOTATED_BYTES = 200 * 1024
# What kubectl says of a server whose version is far from its own is no news to anybody here.
_NOISE = ("WARNING: version difference", "Warning: ")


@dataclass(frozen=True, slots=True)
class Kubectl:
    """One cluster as one user. No call falls back to the user's own kubeconfig or current context."""

    kubeconfig: Path
    context: str

    def argv(self, *args: str) -> list[str]:
        """The command line of a call. Raises HarnessError when kubectl is not on PATH."""
        program = shutil.which("kubectl")
        if program is None:
            raise HarnessError("kubectl is not on PATH; install it (Debian: kubernetes-client)")
        return [program, f"--kubeconfig={self.kubeconfig}", f"--context={self.context}", *args]

    def run(self, *args: str, given: bytes | None = None, timeout_s: float = _TIMEOUT_S) -> bytes:
        """Its output. Raises HarnessError with what kubectl said, or that it did not answer in time."""
        shown = f"kubectl {' '.join(args)}"
        try:
            done = subprocess.run(
                self.argv("--request-timeout", f"{max(1, round(timeout_s))}s", *args),
                input=given,
                stdin=subprocess.DEVNULL if given is None else None,
                capture_output=True,
                timeout=timeout_s + 5,
                check=False,
                start_new_session=True,  # a terminal's Ctrl-C is the harness's to answer: it may be taking down
            )
        except subprocess.TimeoutExpired as error:
            raise HarnessError(f"{shown}: no answer within {timeout_s:g} s") from error
        except OSError as error:
            raise HarnessError(f"{shown}: {error.strerror}") from error
        if done.returncode != 0:
            lines = done.stderr.decode(errors="replace").strip().splitlines()
            said = "; ".join(line for line in lines if not line.startswith(_NOISE))
            raise HarnessError(f"{shown}: {said or f'exit status {done.returncode}'}")
        return done.stdout

    def get(self, *args: str, timeout_s: float = _TIMEOUT_S) -> Any:
        """What ``kubectl get ARGS -o json`` answers. Raises HarnessError."""
        return _parse(self.run("get", *args, "-o", "json", timeout_s=timeout_s), args)

    def existing(self, objects: Iterable[Mapping[str, Any]], *, timeout_s: float = 120.0) -> list[dict[str, Any]]:
        """Those of the objects that are there, as the cluster has them. Raises HarnessError when one cannot be looked
        for.
        """
        items = [{**_named(each), "metadata": _named(each["metadata"])} for each in objects]
        args = ("-f", "-", "--ignore-not-found")
        given = json.dumps({"apiVersion": "v1", "kind": "List", "items": items}).encode()
        answer = self.run("get", *args, "-o", "json", given=given, timeout_s=timeout_s)
        # Where none is there, kubectl says nothing at all.
        found: list[dict[str, Any]] = _parse(answer, args)["items"] if answer.strip() else []
        return found

    def apply(self, objects: Iterable[Mapping[str, Any]], *, timeout_s: float = 120.0) -> None:
        """The objects are there, made or changed in their order. Raises HarnessError naming those refused."""
        for is_large, group in groupby(objects, key=_is_large):
            written = {"apiVersion": "v1", "kind": "List", "items": list(group)}
            how = ("--server-side", "--force-conflicts") if is_large else ()
            self.run("apply", *how, "-f", "-", given=json.dumps(written).encode(), timeout_s=timeout_s)

    def delete(self, objects: Sequence[Mapping[str, Any]], *, grace_s: int) -> None:
        """The objects are going; whoever wants to know when they are gone has to look. None need be there.

        kubectl's own waiting needs the right to watch. Raises HarnessError.
        """
        if objects:
            written = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
            args = ["delete", "-f", "-", "--ignore-not-found", "--wait=false", f"--grace-period={grace_s}"]
            self.run(*args, given=json.dumps(written).encode())

    def patch(self, kind: str, name: str, namespace: str, change: Mapping[str, Any]) -> None:
        """One object, changed by a merge patch. Raises HarnessError, also when there is none."""
        # A file's content may be more than a command line holds.
        call = ("-n", namespace, "patch", kind, name, "--type=merge", "--patch-file=/dev/stdin")
        self.run(*call, given=json.dumps(change).encode())


def _parse(answer: bytes, args: Sequence[str]) -> Any:
    try:
        return json.loads(answer)
    except ValueError as error:
        shown = answer[:200].decode(errors="replace")
        raise HarnessError(f"kubectl get {' '.join(args)}: got {shown!r}, need JSON") from error


def _named(part: Mapping[str, Any]) -> dict[str, Any]:
    """What of an object says which one it is: its content may be large."""
    return {key: part[key] for key in ("apiVersion", "kind", "name", "namespace") if key in part}


def _is_large(manifest: Mapping[str, Any]) -> bool:
    """Whether the object is too large to be kept in an annotation of its own, where ``kubectl apply`` puts it."""
    return len(json.dumps(manifest).encode()) > _ANNOTATED_BYTES
