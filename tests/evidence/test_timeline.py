"""The record: what is written is what is read, and damage is told."""

from __future__ import annotations

import json
import math
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.clock import RunClock
from harness.errors import InputError
from harness.evidence.timeline import Timeline, read_timeline

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.floats(allow_nan=True) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "timeline.jsonl"


@given(data=st.lists(st.dictionaries(st.text(), JSON, max_size=4), max_size=4))
def test_what_is_read_back_is_what_the_run_saw(
    tmp_path_factory: pytest.TempPathFactory, data: list[dict[str, object]]
) -> None:
    path = tmp_path_factory.mktemp("run") / "timeline.jsonl"
    timeline = Timeline(path, RunClock.start())
    for each in data:
        timeline.record("note", "anything", each)
    timeline.close()
    assert read_timeline(path) == timeline.events()
    assert [event.seq for event in timeline.events()] == list(range(len(data)))


def test_numbers_that_json_lacks_are_kept_as_text(path: Path) -> None:
    timeline = Timeline(path, RunClock.start())
    timeline.record("sample", "Hot", {"nan": math.nan, "up": math.inf, "deep": [{"down": -math.inf}], "one": 1.5})
    expected = {"nan": "NaN", "up": "+Inf", "deep": [{"down": "-Inf"}], "one": 1.5}
    assert timeline.events()[0].data == expected == read_timeline(path)[0].data
    json.loads(path.read_text(encoding="utf-8"), parse_constant=lambda name: pytest.fail(name))


def test_what_is_changed_after_it_was_recorded_stays_as_it_was(path: Path) -> None:
    timeline = Timeline(path, RunClock.start())
    left_out = ["Kibana"]
    timeline.record("run", "started", {"not_exercised": left_out})
    left_out.append("Grafana")
    assert timeline.events()[0].data["not_exercised"] == ["Kibana"]


def test_every_line_is_on_disk_at_once(path: Path) -> None:
    timeline = Timeline(path, RunClock.start())
    timeline.record("note", "°C", {"text": "86 °C"})
    assert read_timeline(path)[0].data == {"text": "86 °C"}


@pytest.mark.parametrize("kept", range(1, 12))
def test_a_tail_cut_anywhere_is_left_out(path: Path, kept: int) -> None:
    """Also where the cut goes through a character of several bytes."""
    timeline = Timeline(path, RunClock.start())
    timeline.record("note", "whole", {})
    timeline.record("note", "°°°°", {})
    raw = path.read_bytes()
    start = raw.index("°".encode())
    path.write_bytes(raw[: start + kept])
    assert [event.name for event in read_timeline(path)] == ["whole"]


def test_a_last_line_without_its_newline_is_not_trusted(path: Path) -> None:
    Timeline(path, RunClock.start()).record("note", "only", {})
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    assert read_timeline(path) == ()


def test_a_missing_line_is_a_hole_that_is_named(path: Path) -> None:
    timeline = Timeline(path, RunClock.start())
    for _ in range(3):
        timeline.record("note", "n", {})
    first, _, third = path.read_text(encoding="utf-8").splitlines()
    path.write_text(f"{first}\n{third}\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"timeline.jsonl: line 2: has sequence number 2, expected 1"):
        read_timeline(path)


@pytest.mark.parametrize("line", ["", "null", "[]", "3", "{}", '{"seq": 1}', "{", '"x"'])
def test_a_line_that_is_no_event_is_named(path: Path, line: str) -> None:
    Timeline(path, RunClock.start()).record("note", "n", {})
    path.write_text(path.read_text(encoding="utf-8") + line + "\n", encoding="utf-8")
    with pytest.raises(InputError, match="line 2: is not an event"):
        read_timeline(path)


def test_bytes_that_are_no_text_are_named(path: Path) -> None:
    path.write_bytes(b"\xff\xfe\n")
    with pytest.raises(InputError, match="line 1"):
        read_timeline(path)


def test_a_missing_file_is_named(path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_timeline(path)


def test_a_record_is_never_written_over(path: Path) -> None:
    Timeline(path, RunClock.start()).record("note", "n", {})
    with pytest.raises(FileExistsError):
        Timeline(path, RunClock.start())
    assert len(read_timeline(path)) == 1


@pytest.mark.parametrize("bad", [object(), {1, 2}, b"x"])
def test_what_cannot_be_written_leaves_no_trace(path: Path, bad: object) -> None:
    timeline = Timeline(path, RunClock.start())
    with pytest.raises(TypeError):
        timeline.record("note", "n", {"bad": bad})
    timeline.record("note", "good", {})
    assert [event.name for event in read_timeline(path)] == ["good"]


def test_an_unknown_kind_is_refused(path: Path) -> None:
    with pytest.raises(ValueError, match="not a kind"):
        Timeline(path, RunClock.start()).record("rumour", "n", {})


def test_names_of_files_that_are_no_text_are_kept(path: Path) -> None:
    timeline = Timeline(path, RunClock.start())
    timeline.record("note", "n", {"file": "caf\udce9"})
    assert read_timeline(path) == timeline.events()


def test_several_threads_leave_one_unbroken_order(path: Path) -> None:
    timeline = Timeline(path, RunClock.start())
    start = threading.Barrier(8)

    def write() -> None:
        start.wait()
        for number in range(50):
            timeline.record("note", threading.current_thread().name, {"number": number})

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    events = read_timeline(path)
    assert events == timeline.events()
    assert [event.seq for event in events] == list(range(400))
    assert [event.t_s for event in events] == sorted(event.t_s for event in events)
    assert timeline.events(since=399) == events[399:]
