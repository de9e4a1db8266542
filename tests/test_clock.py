"""Durations as Prometheus reads them, the two clocks of a run, and the one way to wait."""

from __future__ import annotations

import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.clock import DeadlineExceeded, RunClock, format_duration, parse_duration, wait_until


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("0s", 0), ("500ms", 0.5), ("1h30m", 5400), ("1d", 86400), ("1w", 604800), ("1y2d", 31708800)],
)
def test_durations_are_read_as_prometheus_does(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", " ", "5", "-5s", "1.5m", "5 s", "5S", "30s1h", "s", "5m\n", "٣s", "1e3s", "NaN", "5s5s", "\x005s"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["293y", "9" * 18 + "y", "9" * 400 + "s", "9" * 5000 + "ms"])
def test_durations_longer_than_prometheus_can_hold_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="longer than the 292 years"):
        parse_duration(text)
    assert parse_duration("292y") > 9e9


@given(st.integers(0, 10**14))
def test_a_written_duration_is_read_as_the_same(milliseconds: int) -> None:
    if milliseconds <= (2**63 - 1) // 10**6:
        assert parse_duration(format_duration(milliseconds / 1000)) == pytest.approx(milliseconds / 1000)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (90, "1m30s"), (0.25, "250ms"), (0.0004, "0s"), (86400, "1d")]
)
def test_durations_are_written_shortly(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize("seconds", [-1, math.nan, math.inf])
def test_no_duration_is_written_for_what_is_none(seconds: float) -> None:
    with pytest.raises(ValueError, match="cannot be"):
        format_duration(seconds)


def test_server_times_line_up_with_the_runs() -> None:
    clock = RunClock(origin_monotonic_s=time.monotonic() - 5, origin_unix_s=1000.0)
    assert clock.from_unix(1012.5) == 12.5
    assert clock.to_unix(12.5) == 1012.5
    assert clock.now_s() >= 5
    assert RunClock.start().now_s() < 5


class TestWaiting:
    @pytest.mark.parametrize("value", [0, "", [], "x", True])
    def test_anything_but_none_and_false_ends_it(self, value: object) -> None:
        assert wait_until(lambda: value, what="it", timeout_s=0) == value

    @pytest.mark.parametrize("timeout_s", [0.0, -1.0, math.nan])
    def test_it_looks_at_least_once_and_ends_for_any_timeout(self, timeout_s: float) -> None:
        looks: list[int] = []
        with pytest.raises(DeadlineExceeded):
            wait_until(lambda: looks.append(1), what="it", timeout_s=timeout_s)
        assert looks == [1]

    def test_its_message_holds_what_was_awaited_and_seen_last(self) -> None:
        with pytest.raises(DeadlineExceeded, match=r"^the pod is up: not within 0 s; last seen: Pending$"):
            wait_until(lambda: False, what="the pod is up", timeout_s=0, last=lambda: "Pending")

    def test_it_ends_as_soon_as_it_is_so(self) -> None:
        answers = iter([None, False, "up"])
        assert wait_until(lambda: next(answers), what="it", timeout_s=60, poll_s=0.001) == "up"

    def test_it_looks_once_more_after_the_last_pause(self) -> None:
        looks: list[float] = []

        def probe() -> bool | None:
            looks.append(time.monotonic())
            return len(looks) == 2 or None

        assert wait_until(probe, what="it", timeout_s=0.01, poll_s=60)

    def test_what_the_probe_raises_ends_it(self) -> None:
        def probe() -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            wait_until(probe, what="it", timeout_s=60)
