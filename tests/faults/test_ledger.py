"""The undo ledger survives whatever the harness does not."""

from __future__ import annotations

import fcntl
import json
import multiprocessing
import os
import threading
from pathlib import Path

import pytest

from harness.errors import HarnessError
from harness.faults.ledger import LEDGER_FILE, Ledger


def names(ledger: Ledger) -> list[tuple[int, str]]:
    return [(entry.number, entry.fault) for entry in ledger.outstanding()]


def open_many(run_dir: Path, times: int) -> None:
    for _ in range(times):
        Ledger(run_dir).open("pod-kill", {"pid": os.getpid()})


def test_what_is_open_is_outstanding_the_latest_first(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    first = ledger.open("a", {"pod": "x"})
    ledger.open("b", {})
    ledger.open("c", {})
    assert names(Ledger(tmp_path)) == [(3, "c"), (2, "b"), (1, "a")]
    ledger.close(first)
    assert names(Ledger(tmp_path)) == [(3, "c"), (2, "b")]


def test_without_a_file_nothing_is_outstanding_and_none_is_made(tmp_path: Path) -> None:
    assert Ledger(tmp_path).outstanding() == ()
    assert list(tmp_path.iterdir()) == []


def test_the_line_is_on_disk_when_open_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_size)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    Ledger(tmp_path).open("a", {"pod": "x"})
    raw = (tmp_path / LEDGER_FILE).read_bytes()
    assert synced == [len(raw)]
    assert json.loads(raw) == {"open": 1, "fault": "a", "record": {"pod": "x"}}


def test_numbers_go_on_after_a_restart_also_past_closed_entries(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.close(ledger.open("a", {}))
    assert Ledger(tmp_path).open("b", {}).number == 2


def test_processes_at_once_never_share_a_number(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=open_many, args=(tmp_path, 20)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(number for number, _ in names(Ledger(tmp_path))) == list(range(1, 61))


def test_a_number_is_taken_only_while_nobody_else_writes(tmp_path: Path) -> None:
    path = tmp_path / LEDGER_FILE
    numbers: list[int] = []
    waiting = threading.Thread(target=lambda: numbers.append(Ledger(tmp_path).open("b", {}).number))
    with path.open("ab", buffering=0) as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        waiting.start()
        waiting.join(timeout=0.2)
        other.write(b'{"open": 1, "fault": "a", "record": {}}\n')
    waiting.join()
    assert numbers == [2]


@pytest.mark.parametrize("tail", [b'{"open": 2, "fault": "b", "rec', b'{"open": 2, "fault": "b", "record": {}}'])
def test_a_cut_off_tail_was_never_injected_and_does_not_damage_what_follows(tmp_path: Path, tail: bytes) -> None:
    ledger = Ledger(tmp_path)
    first = ledger.open("a", {})
    with (tmp_path / LEDGER_FILE).open("ab") as file:
        file.write(tail)
    assert names(ledger) == [(1, "a")]
    ledger.close(first)
    assert names(ledger) == []
    assert ledger.open("c", {}).number == 2
    assert names(ledger) == [(2, "c")]


@pytest.mark.parametrize(
    "line", ["", "null", "3", "[]", "{}", '{"open": 2}', '{"open": "x", "fault": "", "record": {}}']
)
def test_damage_in_the_middle_is_told_with_its_line(tmp_path: Path, line: str) -> None:
    ledger = Ledger(tmp_path)
    ledger.open("a", {})
    with (tmp_path / LEDGER_FILE).open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    with pytest.raises(HarnessError, match="line 2 is not a ledger entry"):
        ledger.outstanding()
    with pytest.raises(HarnessError, match="line 2"):
        ledger.open("b", {})
