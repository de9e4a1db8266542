"""Puts faults in and takes them out: ledger first, effect read back, everything on the timeline."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.clock import DeadlineExceeded, wait_until
from harness.errors import HarnessError
from harness.faults.catalogue import FAULTS
from harness.faults.ledger import Entry, Ledger
from harness.faults.world import World

FAULT = "fault"


@dataclass(slots=True)
class Injector:
    """The faults of one run. ``record`` writes a timeline event from kind, name and data."""

    world: World
    run_dir: Path
    record: Callable[[str, str, Mapping[str, Any]], object]
    effect_timeout_s: float = 30.0
    _ledger: Ledger = field(init=False)

    def __post_init__(self) -> None:
        self._ledger = Ledger(self.run_dir)

    def inject(self, fault: str, *, effect_timeout_s: float | None = None, **params: Any) -> str:
        """The injected fault's name, once its effect was seen.

        A fault whose effect is not seen stays in until undone and is recorded as ``no-effect``: what follows proves
        nothing. Raises HarnessError when it cannot be planned or put in.
        """
        kind = FAULTS[fault]
        record = kind.plan(self.world, **params)
        entry = self._ledger.open(fault, record)
        self._note(entry, "injecting", params=_plain(params), target=_target(record))
        kind.inject(self.world, record)
        self._note(entry, "injected", target=_target(record))
        if kind.undo is None:
            self._ledger.close(entry)
        timeout_s = effect_timeout_s or self.effect_timeout_s
        self._see(entry, kind.effect, seen="effect", unseen="no-effect", timeout_s=timeout_s)
        return _name(entry)

    def heal(self) -> list[str]:
        """Undoes all that is outstanding, the latest first; every entry is tried. What could not be undone is returned."""
        failures = []
        for entry in self._ledger.outstanding():
            kind = FAULTS[entry.fault]
            try:
                if kind.undo is not None:
                    kind.undo(self.world, entry.record)
            except Exception as error:  # noqa: BLE001 - one undo that fails must not keep the others from being tried
                failures.append(f"{_name(entry)}: {error}")
                self._note(entry, "undo-failed", observed=str(error))
                continue
            self._ledger.close(entry)
            self._note(entry, "undone", target=_target(entry.record))
            if kind.cleared is not None:
                self._see(entry, kind.cleared, seen="cleared", unseen="not-cleared", timeout_s=self.effect_timeout_s)
        return failures

    def _see(
        self,
        entry: Entry,
        look: Callable[[World, Mapping[str, Any]], str | None],
        *,
        seen: str,
        unseen: str,
        timeout_s: float,
    ) -> None:
        """Records what an independent source shows of the fault, or that it shows nothing."""
        source = FAULTS[entry.fault].source
        problem = ""

        def probe() -> str | None:
            nonlocal problem
            try:
                return look(self.world, entry.record)
            except (HarnessError, OSError) as error:
                problem = f": {error}"
                return None

        try:
            observed = wait_until(probe, what=f"the effect of {_name(entry)}", timeout_s=timeout_s, poll_s=0.02)
        except DeadlineExceeded:
            self._note(entry, unseen, observed=f"nothing within {timeout_s:g} s{problem}", source=source)
        else:
            self._note(entry, seen, observed=observed, source=source)

    def _note(self, entry: Entry, status: str, **data: Any) -> None:
        self.record(FAULT, _name(entry), {"status": status, "fault": entry.fault, **data})


def _name(entry: Entry) -> str:
    return f"{entry.fault}#{entry.number}"


def _target(record: Mapping[str, Any]) -> str:
    if "pod" in record:
        return str(record["pod"])
    if "fills" in record:
        return ", ".join(f"{each['pod']}:{record['volume']}" for each in record["fills"])
    return f"gpu {record['gpu']}" if "gpu" in record else ""


def _plain(params: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in params.items() if value is not None}


__all__ = ["Injector"]
