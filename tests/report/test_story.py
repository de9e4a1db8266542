from __future__ import annotations

import math

import pytest

from harness.latencies import Latencies
from harness.report.axis import Axis, value_range
from harness.report.chart import describe, draw, moments
from harness.report.curves import MOST_POINTS, load_curves, sample_curves
from harness.report.story import MOST_MARKS, MOST_TRACKS, Span, Story, tell

from .results import Record, alert_spec, heat_record, spec


def story(record: Record, *alerts: str) -> Story:
    found = tell("heat", record.events, spec(alert_spec()), alerts=alerts)
    assert found is not None
    return found


def begun(*, at_s: float = 10.0) -> Record:
    record = Record()
    record.add(at_s, "phase", "heat", status="begin")
    return record


def test_an_alert_lives_through_its_states_at_the_times_of_its_evaluations() -> None:
    alert = next(track for track in story(heat_record()).tracks if track.name == "HighGPUTemperature")
    assert alert.spans == (
        Span("inactive", 12.0, 16.0),
        Span("pending", 16.0, 18.25),
        Span("firing", 18.25, 40.0),
        Span("inactive", 40.0, 60.0),
    )


def test_an_alert_that_fires_all_the_while_is_a_note_and_not_a_row() -> None:
    told = story(heat_record())
    assert told.notes == ("Firing all the while: Watchdog.",)
    assert "Watchdog" not in {track.name for track in told.tracks if track.kind == "alert"}


def test_an_alert_asked_for_that_never_moved_is_a_row() -> None:
    told = story(heat_record(), "GPUThrottled")
    silent = next(track for track in told.tracks if track.name == "GPUThrottled")
    assert silent.spans == (Span("inactive", 12.0, 60.0),)
    assert "GPUThrottled" not in {track.name for track in story(heat_record()).tracks}


def test_a_fault_is_in_from_injected_to_undone() -> None:
    fault = next(track for track in story(heat_record()).tracks if track.kind == "fault")
    assert fault.spans == (Span("fault", 13.2, 30.0),)
    assert [mark.state for mark in fault.marks] == ["injecting", "injected", "effect", "undone"]


def test_a_fault_that_was_not_undone_reaches_the_end_and_says_so() -> None:
    record = begun()
    record.add(11.0, "fault", "pod.kill#1", status="injected", target="inference-0")
    record.add(20.0, "phase", "heat", status="end")
    fault = story(record).tracks[0]
    assert fault.spans == (Span("fault", 11.0, 20.0),)
    assert "not undone within the phase" in fault.note


def test_events_of_another_experiment_stay_out() -> None:
    record = Record()
    record.add(1.0, "notice", "early", status="firing", arrived_s=1.0, alertname="A")
    record.add(2.0, "phase", "heat", status="begin")
    record.add(3.0, "notice", "pager", status="firing", arrived_s=3.0, alertname="A")
    record.add(4.0, "phase", "heat", status="end")
    record.add(5.0, "notice", "late", status="firing", arrived_s=5.0, alertname="A")
    assert {track.name for track in story(record).tracks} == {"pager"}


def test_a_record_that_stops_inside_the_phase_is_told_as_far_as_it_goes() -> None:
    record = begun()
    record.add(17.0, "note", "-", text="then the lights went out")
    told = story(record)
    assert (told.ended, told.end_s) == (False, 17.0)


def test_a_phase_the_record_does_not_hold_has_no_story() -> None:
    assert tell("cold", heat_record().events, spec()) is None


def test_rows_and_marks_beyond_what_can_be_read_are_counted() -> None:
    record = begun()
    for number in range(MOST_TRACKS + 3):
        record.add(11.0, "notice", f"receiver-{number:02}", status="firing", arrived_s=11.0, alertname="A")
    for _ in range(MOST_MARKS + 4):
        record.add(12.0, "notice", "receiver-00", status="firing", arrived_s=12.0, alertname="A")
    record.add(20.0, "phase", "heat", status="end")
    told = story(record)
    assert len(told.tracks) == MOST_TRACKS
    assert told.notes == ("3 more rows are in the record but not drawn.",)
    assert (len(told.tracks[0].marks), told.tracks[0].omitted) == (MOST_MARKS, 5)


@pytest.mark.parametrize("broken", [None, "NaN", "soon", True, math.nan, math.inf])
def test_a_time_that_is_no_time_is_left_out_of_the_drawing(broken: object) -> None:
    record = begun()
    record.add(11.0, "rule", "A", labels={"alertname": "A"}, state="firing", at_s=broken)
    record.add(11.5, "load", "window", from_s=broken, to_s=12.0, requests=1, errors=0, latency_buckets={})
    record.add(11.6, "sample", "A", at_s=broken, labels={}, value=1.0)
    record.add(20.0, "phase", "heat", status="end")
    told = story(record)
    assert (told.tracks, told.curves) == ((), ())


def test_load_becomes_p95_and_error_ratio() -> None:
    latency, errors = load_curves(heat_record().events)
    assert latency.lines[0].points[0].value == pytest.approx(0.27, rel=0.02)
    assert max(latency.values) == pytest.approx(2.16, rel=0.02)
    assert {point.value for point in errors.lines[0].points} == {0.0, 0.04}


def test_a_window_without_requests_is_a_hole_and_not_a_zero() -> None:
    record = Record()
    record.add(1.0, "load", "window", from_s=0.0, to_s=1.0, requests=0, errors=0, latency_buckets={})
    latency, errors = load_curves(record.events)
    assert latency.lines[0].points[0].value is None
    assert errors.lines[0].points[0].value is None
    assert latency.values == ()


def test_a_spoilt_window_is_a_hole() -> None:
    record = Record()
    record.add(1.0, "load", "window", from_s=0.0, to_s=1.0, requests=5, errors=0, latency_buckets={"x": -1})
    assert load_curves(record.events)[0].values == ()


def test_no_load_gives_no_curve() -> None:
    assert load_curves(()) == ()


def test_many_windows_are_merged_by_their_counts() -> None:
    record = Record()
    for second in range(1000):
        slow = second == 500
        buckets = Latencies.from_samples([9.0 if slow else 0.1] * 100).to_json()
        record.add(
            second,
            "load",
            "window",
            from_s=second,
            to_s=second + 1,
            requests=100,
            errors=100 * slow,
            latency_buckets=buckets,
        )
    latency, errors = load_curves(record.events)
    assert len(latency.lines[0].points) <= MOST_POINTS
    assert max(latency.values) == pytest.approx(9.0, rel=0.02)
    assert max(errors.values) == pytest.approx(1 / 9)


def test_a_peak_between_many_samples_is_kept() -> None:
    record = Record()
    for second in range(1000):
        record.add(second, "sample", "A", at_s=float(second), labels={}, value=99.0 if second == 501 else 1.0)
    curve = sample_curves(record.events, spec())[0]
    assert len(curve.lines[0].points) <= MOST_POINTS
    assert max(curve.values) == 99.0


def test_a_sample_that_is_not_a_number_is_a_hole() -> None:
    record = Record()
    record.add(1.0, "sample", "A", at_s=1.0, labels={}, value="NaN")
    assert sample_curves(record.events, spec())[0].values == ()


def test_two_rules_that_disagree_give_no_threshold() -> None:
    rules = spec(alert_spec("A", 1.0), alert_spec("A", 2.0))
    record = Record()
    record.add(1.0, "sample", "A", at_s=1.0, labels={}, value=1.5)
    assert sample_curves(record.events, rules)[0].threshold is None
    assert sample_curves(record.events, spec(alert_spec("A", 1.0)))[0].threshold == 1.0
    assert sample_curves(record.events, spec(alert_spec("A", math.inf)))[0].threshold is None


def test_the_drawing_says_in_words_what_it_shows() -> None:
    words = describe(story(heat_record()))
    assert "Fault gpu.cooling-lost#1: fault from 13.2 to 30.0 s." in words
    assert "What HighGPUTemperature looks at: at most 95, threshold 80." in words


def test_the_table_holds_every_mark_in_order_of_time() -> None:
    found = moments(story(heat_record()))
    assert [one.at_s for one in found] == sorted(one.at_s for one in found)
    assert "alert HighGPUTemperature: firing" in {one.what for one in found}


def test_a_bar_starts_and_ends_where_its_state_does() -> None:
    svg = draw(story(heat_record()), key="k", title="t")
    # 18.25 s and 40 s on an axis from 12 s to 60 s.
    assert '<rect class="bar firing" x="13.021%" y="' in svg
    assert 'width="45.312%" height="14"><title>firing from 18.25 s to 40.00 s</title>' in svg


def test_a_hole_in_a_line_is_not_bridged() -> None:
    record = begun()
    for second, requests in ((10, 10), (11, 0), (12, 10)):
        buckets = Latencies.from_samples([0.1] * requests).to_json()
        record.add(
            second,
            "load",
            "window",
            from_s=second,
            to_s=second + 1,
            requests=requests,
            errors=0,
            latency_buckets=buckets,
        )
    record.add(20.0, "phase", "heat", status="end")
    assert draw(story(record), key="k", title="t").count('<path class="line"') == 4


def test_an_evaluation_written_down_late_starts_at_the_edge_of_the_drawing() -> None:
    record = begun(at_s=10.0)
    record.add(10.1, "rule", "A", labels={"alertname": "A"}, state="firing", at_s=9.9)
    record.add(11.0, "rule", "A", labels={"alertname": "A"}, state="inactive", at_s=10.5)
    record.add(20.0, "phase", "heat", status="end")
    assert story(record).tracks[0].spans == (Span("firing", 10.0, 10.5), Span("inactive", 10.5, 20.0))


def test_a_state_nobody_knows_is_drawn_as_a_thin_line_and_named_without_its_control_characters() -> None:
    record = begun()
    record.add(11.0, "rule", "A", labels={"alertname": "A"}, state="\x1b<b>", at_s=11.0)
    record.add(20.0, "phase", "heat", status="end")
    svg = draw(story(record), key="k", title="t")
    assert '<rect class="bar inactive" x="10.0%"' in svg
    assert "<title>\\x1b&lt;b&gt; from 11.00 s to 20.00 s</title>" in svg


def test_ticks_are_round_and_inside() -> None:
    assert Axis(12.0, 60.0).ticks() == (20.0, 30.0, 40.0, 50.0, 60.0)
    assert Axis(0.0, 0.001).ticks()[-1] <= 0.001
    assert len(Axis(3.3, 100_003.3).ticks()) <= 9


def test_a_position_outside_the_axis_is_at_its_edge() -> None:
    axis = Axis(10.0, 20.0)
    assert [axis.percent(at_s) for at_s in (5, 10, 15, 20, 25)] == [0.0, 0.0, 50.0, 100.0, 100.0]


@pytest.mark.parametrize(
    ("values", "expected"),
    [([], (0.0, 1.0)), ([0.0], (0.0, 1.0)), ([2.2], (0.0, 2.5)), ([-0.3, 7], (-0.3, 8.0)), ([-4.0], (-4.0, 0.0))],
)
def test_a_scale_holds_zero_and_all_values(values: list[float], expected: tuple[float, float]) -> None:
    assert value_range(values) == pytest.approx(expected)
