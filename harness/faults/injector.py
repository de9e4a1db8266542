"""Puts faults in and takes them out: ledger first, effect read back, everything on the timeline."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.clock import DeadlineExceeded, wait_until
from harness.errors import HarnessError
from harness.faults.catalogue import FAULTS, FaultKind
from harness.faults.ledger import Entry, Ledger
from harness.faults.world import World
from harness.gpu import GpuLostError, GpuUnavailable

FAULT = "fault"
# Where a record of several pods has them.
_OF_PODS = ("fills", "changes", "damages", "slowed", "from")


@dataclass(slots=True)
class Injector:
    """The faults of one run. ``record`` writes a timeline event from kind, name and data.

    ``time_scale``: spec time ÷ real time. ``watch`` is called while an injected fault's effect is awaited, and raises
    to end the wait.
    """

    world: World
    run_dir: Path
    record: Callable[[str, str, Mapping[str, Any]], object]
    effect_timeout_s: float = 30.0
    time_scale: float = 1.0
    watch: Callable[[], None] = lambda: None
    _ledger: Ledger = field(init=False)

    def __post_init__(self) -> None:
        self._ledger = Ledger(self.run_dir)

    def inject(self, fault: str, *, effect_timeout_s: float | None = None, **params: Any) -> str:
        """The injected fault's name, once its effect was seen.

        A fault whose effect is not seen stays in until undone and is recorded as ``no-effect``: what follows proves
        nothing. Raises HarnessError when it cannot be planned or put in.
        """
        if fault not in FAULTS:
            raise HarnessError(f"no fault is named {fault!r}; there are: {', '.join(FAULTS)}")
        kind = FAULTS[fault]
        record = kind.plan(self.world, **params)
        entry = self._ledger.open(fault, record)
        self._note(entry, "injecting", params=_plain(params), **_aim(record))
        kind.inject(self.world, record)
        self._note(entry, "injected", **_aim(record), undoable=kind.undo is not None)
        if kind.undo is None:
            self._ledger.close(entry)
        timeout_s = self._patience_s(kind) if effect_timeout_s is None else effect_timeout_s
        self._see(entry, kind.effect, seen="effect", unseen="no-effect", timeout_s=timeout_s, watch=self.watch)
        return _name(entry)

    def heal(self, *, clear_timeout_s: float | None = None) -> list[str]:
        """Undoes all that is outstanding, the latest first; every entry is tried. What could not be undone is returned.

        Only then it looks whether each is gone: one that takes long to clear must not keep the others in.
        """
        failures, undone = [], []
        for entry in self._ledger.outstanding():
            try:
                self._undo(entry)
            except Exception as error:  # noqa: BLE001 - one undo that fails must not keep the others from being tried
                failures.append(f"{_name(entry)}: {error}")
                self._note(entry, "undo-failed", observed=str(error))
            else:
                undone.append(entry)
        for entry in undone:
            kind = FAULTS[entry.fault]
            if kind.cleared is not None:
                timeout_s = self._patience_s(kind) if clear_timeout_s is None else clear_timeout_s
                self._see(entry, kind.cleared, seen="cleared", unseen="not-cleared", timeout_s=timeout_s)
        return failures

    def _patience_s(self, kind: FaultKind) -> float:
        """How long to look for what a fault of this kind does: real time for us, and spec time for its nature."""
        return self.effect_timeout_s + kind.takes_s / self.time_scale

    def _undo(self, entry: Entry) -> None:
        if entry.fault not in FAULTS:
            raise HarnessError(f"no fault is named {entry.fault!r}: another version of the harness put it in")
        undo = FAULTS[entry.fault].undo
        if undo is not None:
            # Of several pods the first may be whole before the last: from here on the stack may see the fault gone.
            self._note(entry, "undoing", **_aim(entry.record))
            undo(self.world, entry.record)
        # Told before the ledger is on disk, which may take long: the stack sees the fault gone from here on.
        self._note(entry, "undone", **_aim(entry.record))
        self._ledger.close(entry)

    def _see(
        self,
        entry: Entry,
        look: Callable[[World, Mapping[str, Any]], str | None],
        *,
        seen: str,
        unseen: str,
        timeout_s: float,
        watch: Callable[[], None] = lambda: None,
    ) -> None:
        """Records what an independent source shows of the fault, or that it shows nothing."""
        source, poll_s = FAULTS[entry.fault].source, self.world.look_every_s
        problem = ""

        def probe() -> str | None:
            nonlocal problem
            watch()
            try:
                observed = look(self.world, entry.record)
            except (HarnessError, OSError, GpuLostError, GpuUnavailable) as error:
                problem = f": {error}"
                return None
            problem = ""
            return observed

        try:
            observed = wait_until(probe, what=f"the effect of {_name(entry)}", timeout_s=timeout_s, poll_s=poll_s)
        except DeadlineExceeded:
            self._note(entry, unseen, observed=f"nothing within {timeout_s:g} s{problem}", source=source)
        else:
            self._note(entry, seen, observed=observed, source=source)

    def _note(self, entry: Entry, status: str, **data: Any) -> None:
        self.record(FAULT, _name(entry), {"status": status, "fault": entry.fault, **data})


def _name(entry: Entry) -> str:
    return f"{entry.fault}#{entry.number}"


def _aim(record: Mapping[str, Any]) -> dict[str, str]:
    """What a fault is aimed at; with the namespace where that is pods of one."""
    of_pods = [each for many in _OF_PODS for each in record.get(many, ())]
    namespaces = {str(each["namespace"]) for each in (record, *of_pods) if {"pod", "namespace"} <= each.keys()}
    named = {"namespace": namespaces.pop()} if len(namespaces) == 1 else {}
    return {"target": _target(record), **named}


def _target(record: Mapping[str, Any]) -> str:
    if "pod" in record:
        return str(record["pod"])
    if "fills" in record:
        return ", ".join(f"{each['pod']}:{record['volume']}" for each in record["fills"])
    for many in ("changes", "damages"):
        if many in record:
            return ", ".join(f"{each['pod']}:{record['volume']}/{record['file']}" for each in record[many])
    for many in ("slowed", "from"):
        if many in record:
            return ", ".join(str(each["pod"]) for each in record[many])
    if "gpu" in record:
        return f"gpu {record['gpu']}"
    return str(record.get("node") or record.get("workload") or "")


def _plain(params: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in params.items() if value is not None}


__all__ = ["Injector"]
