"""Verdicts merge to the worst, and what was recorded stays."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.model import Event, Verdict

VERDICTS = st.sampled_from(Verdict)


@given(st.lists(VERDICTS), st.lists(VERDICTS, min_size=1))
def test_merging_takes_the_worst_in_any_grouping(some: list[Verdict], more: list[Verdict]) -> None:
    merged = Verdict.merge([*some, *more])
    assert merged is Verdict.merge([*more, *some])
    assert merged is Verdict.merge([Verdict.merge(some) if some else more[0], Verdict.merge(more)])
    assert (merged is Verdict.PASS) == ({*some, *more} == {Verdict.PASS})
    assert (merged is Verdict.FAIL) == (Verdict.FAIL in (*some, *more))


def test_no_evidence_is_unknown() -> None:
    assert Verdict.merge([]) is Verdict.UNKNOWN


def test_what_was_recorded_cannot_be_changed() -> None:
    event = Event(0, 0.0, 0.0, "note", "n", {})
    with pytest.raises(dataclasses.FrozenInstanceError):
        event.seq = 1  # type: ignore[misc]
