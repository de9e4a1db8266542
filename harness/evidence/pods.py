"""Which pods run, as the environment sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from harness.errors import HarnessError
from harness.evidence.events import GAP, POD
from harness.evidence.timeline import Record


class PodSource(Protocol):
    """An environment that lists its containers."""

    def container_states(self) -> Sequence[Mapping[str, Any]]:
        """For each container: pod, namespace, workload, container, running, pid, exit_code, completes: whether its work
        has an end.

        Raises HarnessError when they cannot be listed.
        """


class PodCollector:
    """Records a ``pod`` event whenever a container is started, ends, or is gone with its pod. What ran at the first
    poll is not an event."""

    def __init__(self, source: PodSource, record: Record) -> None:
        self._source = source
        self._record = record
        self._known: dict[tuple[str, str, str], Mapping[str, Any]] | None = None
        self._begun: set[tuple[str, str, str]] = set()
        self._restarts: dict[tuple[str, str, str], int] = {}

    def poll(self) -> None:
        """Compares with the last poll; an environment that cannot be asked is a gap."""
        try:
            states = self._source.container_states()
        except HarnessError as error:
            self._record(GAP, "pods", {"error": str(error)})
            return
        now = {(state["namespace"], state["pod"], state["container"]): state for state in states}
        if self._known is not None:
            for key, state in now.items():
                self._compare(key, self._known.get(key, {**state, "running": False, "pid": None}), state)
            for key in self._known.keys() - now.keys():
                self._note(key, "gone", self._known[key])
        self._begun |= {key for key, state in now.items() if state["running"] or state["exit_code"] is not None}
        self._known = now

    def _compare(self, key: tuple[str, str, str], before: Mapping[str, Any], state: Mapping[str, Any]) -> None:
        same = before["pid"] == state["pid"] or not (before["running"] or state["running"])
        if before["running"] == state["running"] and same:
            return
        if state["running"]:
            self._restarts[key] = self._restarts.get(key, 0) + 1
        self._note(key, "started" if state["running"] else "exited", state)

    def _note(self, key: tuple[str, str, str], status: str, state: Mapping[str, Any]) -> None:
        data = {
            "status": status,
            "namespace": state["namespace"],
            "workload": state["workload"],
            "container": state["container"],
            "pid": state["pid"],
            "exit_code": state["exit_code"],
            "completes": state["completes"],
            "first": status == "started" and key not in self._begun,
            "restarts": self._restarts.get(key, 0),
        }
        self._record(POD, state["pod"], data)
