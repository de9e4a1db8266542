"""Whatever is lost from a record, it is never judged better than the whole."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.checks import alerts_proved, check_run
from harness.model import Verdict
from tests.checks.timelines import HOT, experiment, passing, spec

EVENTS = passing().events()
RESULTS = check_run(EVENTS, [experiment()], spec(), time_scale=1)
# Not those whose loss others make up for: evaluations and load come every second, a fault is undone and cleared.
REQUIRED = [
    number
    for number, event in enumerate(EVENTS)
    if event.kind in ("rule", "notice", "phase", "target")
    or (event.kind == "fault" and event.data["status"] in ("effect", "cleared"))
]


def merged(numbers: set[int]) -> Verdict:
    kept = [event for number, event in enumerate(EVENTS) if number not in numbers]
    return Verdict.merge(each.verdict for each in check_run(kept, [experiment()], spec(), time_scale=1))


def test_the_whole_record_passes() -> None:
    assert merged(set()) is Verdict.PASS


@given(number=st.sampled_from(REQUIRED))
@settings(deadline=None, max_examples=40)
def test_losing_one_required_event_never_passes(number: int) -> None:
    assert merged({number}) is not Verdict.PASS


@given(numbers=st.sets(st.integers(0, len(EVENTS) - 1), min_size=1, max_size=8), spoilt=st.sampled_from(REQUIRED))
@settings(deadline=None, max_examples=60)
def test_losing_more_never_brings_a_pass_back(numbers: set[int], spoilt: int) -> None:
    assert merged(numbers | {spoilt}) is not Verdict.PASS


@given(numbers=st.sets(st.integers(0, len(EVENTS) - 1), min_size=1, max_size=12))
@settings(deadline=None, max_examples=60)
def test_an_alert_is_proved_only_by_events_that_are_there(numbers: set[int]) -> None:
    kept = [event for number, event in enumerate(EVENTS) if number not in numbers]
    results = check_run(kept, [experiment()], spec(), time_scale=1)
    if "Hot" in alerts_proved(results, spec())[0]:
        states = {event.data["state"] for event in kept if event.kind == "rule" and event.data["labels"] == HOT}
        told = {event.data["status"] for event in kept if event.kind == "notice" and event.data["labels"] == HOT}
        effects = [event for event in kept if event.kind == "fault" and event.data["status"] == "effect"]
        assert (states, told, len(effects)) == ({"pending", "firing", "inactive"}, {"firing", "resolved"}, 1)
