from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from harness.checks.load import check_load
from harness.checks.window import Window
from harness.clock import RunClock
from harness.load.window_reader import WindowReader
from harness.load.windows import Windows
from harness.model import Event, Expectation, Verdict

BEGIN_UNIX_S = 1000.0


class ClockByHand(RunClock):
    """Stands at ``at_s``, where the test puts it."""

    at_s = 0.0
    __setattr__ = object.__setattr__  # a real one is frozen

    def now_s(self) -> float:
        return self.at_s


class Record:
    """A timeline with readers on it, and the files they read."""

    def __init__(self, directory: Path) -> None:
        self.clock = ClockByHand(origin_monotonic_s=0.0, origin_unix_s=BEGIN_UNIX_S)
        self.events: list[Event] = []
        self._directory = directory

    def reader(self, name: str, **kept: Any) -> WindowReader:
        path = self._directory / name
        return WindowReader(path, clock=self.clock, record=self.add, silence_s=3.0, source=name, **kept)

    def add(self, kind: str, name: str, data: Mapping[str, Any]) -> None:
        self.events.append(Event(len(self.events), self.clock.at_s, BEGIN_UNIX_S + self.clock.at_s, kind, name, data))

    def writes(self, name: str, text: str) -> None:
        with (self._directory / name).open("a", encoding="utf-8") as file:
            file.write(text)

    def gaps(self) -> list[Mapping[str, Any]]:
        return [event.data for event in self.events if (event.kind, event.name) == ("gap", "load")]

    def windows(self) -> list[Mapping[str, Any]]:
        return [event.data for event in self.events if (event.kind, event.name) == ("load", "window")]


@pytest.fixture
def record(tmp_path: Path) -> Record:
    return Record(tmp_path)


def line(from_s: float, *, worker: int | None = None, latency_s: float = 0.1) -> str:
    """One second of load, as it is written."""
    windows = Windows(begin_unix_s=BEGIN_UNIX_S + from_s, width_s=1.0, rate=20.0, worker=worker)
    windows.ended(0.5, latency_s=latency_s, reason=None)
    (only,) = windows.close_until(1.0, in_flight=0)
    return only


def test_a_window_becomes_an_event_in_the_runs_time(record: Record) -> None:
    reader = record.reader("w")
    record.writes("w", line(4.0, worker=1))
    record.clock.at_s = 5.1
    reader.poll()
    (window,) = record.windows()
    assert (window["from_s"], window["to_s"], window["rate"], window["worker"]) == (4.0, 5.0, 20.0, 1)
    assert (reader.windows, reader.seen_until_s) == (1, 5.0)
    assert record.gaps() == []


def test_a_line_half_written_is_waited_for(record: Record) -> None:
    reader, whole = record.reader("w"), line(0.0)
    record.writes("w", whole[:40])
    reader.poll()
    assert record.events == []
    record.writes("w", whole[40:])
    reader.poll()
    assert [event.kind for event in record.events] == ["load"]


def test_silence_is_a_gap_from_the_last_window_and_is_told_again_while_it_lasts(record: Record) -> None:
    reader = record.reader("w", last_words=lambda: "out of memory")
    record.writes("w", line(0.0))
    record.clock.at_s = 1.1
    reader.poll()
    record.clock.at_s = 4.1  # exactly the silence allowed
    reader.poll()
    assert record.gaps() == []
    record.clock.at_s = 4.2
    reader.poll()
    reader.poll()
    record.clock.at_s = 7.3
    reader.poll()
    error = "w wrote no window; its last words: out of memory"
    assert record.gaps() == [
        {"from_s": 1.0, "to_s": 4.2, "error": error},
        {"from_s": 4.2, "to_s": 7.3, "error": error},
    ]


def test_the_first_window_may_take_longer_but_not_for_ever(record: Record) -> None:
    reader = record.reader("w", start_allowance_s=60.0)
    record.clock.at_s = 60.0
    reader.poll()  # the file is not there yet
    assert record.gaps() == []
    record.clock.at_s = 60.1
    reader.poll()
    assert record.gaps() == [{"from_s": 0.0, "to_s": 60.1, "error": "w wrote no window"}]


def test_silence_after_the_end_is_no_gap_but_what_was_written_is_read(record: Record) -> None:
    reader = record.reader("w")
    record.writes("w", line(0.0))
    record.clock.at_s = 99.0
    reader.poll(ended=True)
    reader.poll(ended=True)
    assert len(record.windows()) == 1
    assert record.gaps() == []


def test_an_end_known_from_elsewhere_is_a_gap_with_its_reason(record: Record) -> None:
    reader = record.reader("w")
    record.clock.at_s = 2.0
    reader.record_gap("the pod w is gone")
    assert record.gaps() == [{"from_s": 0.0, "to_s": 2.0, "error": "the pod w is gone"}]
    assert reader.seen_until_s == 2.0


@pytest.mark.parametrize(
    "damage",
    ["[1, 2]", "{}", '{"from_unix_s": 1}', '{"from_unix_s": "1", "to_unix_s": 2, "rate_planned": 3}', "[ERROR] no", ""],
)
def test_what_is_no_window_is_a_gap_and_the_next_line_is_read(record: Record, damage: str) -> None:
    reader = record.reader("w")
    record.writes("w", f"{damage}\n{line(0.0)}")
    reader.poll()
    (gap,) = record.gaps()
    assert gap["error"].startswith(f"w wrote {damage!r}, not a window: ")
    assert len(record.windows()) == 1


@pytest.mark.parametrize(
    ("silent_from_s", "latency_s", "expected"),
    [
        (None, 0.1, Verdict.PASS),
        (25, 0.1, Verdict.UNKNOWN),
        (25, 9.0, Verdict.FAIL),  # what the other worker saw is enough for that
    ],
)
def test_a_load_is_heard_only_when_every_worker_is(
    record: Record, silent_from_s: float | None, latency_s: float, expected: Verdict
) -> None:
    readers = [record.reader(f"load-worker-{number}") for number in range(2)]
    for second in range(40):
        for number in range(2):
            if not (number == 1 and silent_from_s is not None and second >= silent_from_s):
                record.writes(f"load-worker-{number}", line(second, worker=number, latency_s=latency_s))
        record.clock.at_s = second + 1.1
        for reader in readers:
            reader.poll()
        if second in (19, 35):
            record.add("fault", "pod-killed#1", {"status": "effect" if second == 19 else "undone"})

    window = Window(tuple(record.events), "killed", 10.0, 40.5)
    bound = Expectation("load", {"stage": "during", "p95_s": 1.0, "error_ratio": None})
    (result,) = check_load(bound, window, time_scale=1)
    assert result.verdict is expected
    assert bool(record.gaps()) == (silent_from_s is not None)
    assert all("load-worker-1 wrote no window" in gap["error"] for gap in record.gaps())
    if expected is Verdict.UNKNOWN:
        assert "load-worker-1 wrote no window" in result.summary
