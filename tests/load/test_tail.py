from __future__ import annotations

from pathlib import Path

from harness.load.tail import Tail


def append(path: Path, content: bytes) -> None:
    with path.open("ab") as file:
        file.write(content)


def test_each_line_is_read_once(tmp_path: Path) -> None:
    tail = Tail(tmp_path / "log")
    append(tail.path, b"one\ntwo\n")
    assert tail.read() == ("one", "two")
    assert tail.read() == ()
    append(tail.path, b"three\n")
    assert tail.read() == ("three",)


def test_a_line_still_being_written_waits_for_its_end(tmp_path: Path) -> None:
    tail = Tail(tmp_path / "log")
    append(tail.path, b'one\n{"half')
    assert tail.read() == ("one",)
    append(tail.path, b'":')
    assert tail.read() == ()
    append(tail.path, b" 1}\nnext")
    assert tail.read() == ('{"half": 1}',)


def test_a_character_cut_in_two_is_read_whole(tmp_path: Path) -> None:
    tail = Tail(tmp_path / "log")
    whole = "µs\n".encode()
    append(tail.path, whole[:1])
    assert tail.read() == ()
    append(tail.path, whole[1:])
    assert tail.read() == ("µs",)


def test_a_file_that_is_not_there_yet_has_no_lines(tmp_path: Path) -> None:
    tail = Tail(tmp_path / "log")
    assert tail.read() == ()
    append(tail.path, b"\n")
    assert tail.read() == ("",)
