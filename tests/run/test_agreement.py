"""Verdicts of several environments: where they differ, somebody has to know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from harness.model import CheckResult, RunResult, Verdict
from harness.run.agreement import agreed_verdict, disagreements
from tests.report.results import result as run_result

PASS, UNKNOWN, FAIL = Verdict.PASS, Verdict.UNKNOWN, Verdict.FAIL


BOTH = ("local", "kind")


def result(verdicts: Mapping[str, tuple[Verdict, ...]], *, interrupted: str | None = None) -> RunResult:
    checks = [
        CheckResult(experiment, f"check {number}", verdict, None, None, "", "", ())
        for experiment, of in verdicts.items()
        for number, verdict in enumerate(of)
    ]
    return replace(run_result(*checks), interrupted=interrupted)


def test_the_same_verdicts_agree_whatever_their_checks() -> None:
    both = {"local": result({"a": (PASS, PASS), "b": (FAIL,)}), "kind": result({"a": (PASS,), "b": (FAIL, PASS)})}
    assert disagreements(both) == ()
    assert agreed_verdict(both, BOTH) is FAIL


@pytest.mark.parametrize("other", [UNKNOWN, FAIL])
def test_another_verdict_in_one_environment_is_a_fail_that_names_both(other: Verdict) -> None:
    both = {"local": result({"a": (PASS,)}), "kind": result({"a": (PASS, other)})}
    (found,) = disagreements(both)
    assert str(found) == f"a: local: PASS, kind: {other.value}"
    assert agreed_verdict(both, BOTH) is FAIL


def test_what_only_one_environment_runs_cannot_disagree() -> None:
    both = {"local": result({"a": (PASS,)}), "kind": result({"a": (PASS,), "node-lost": (PASS,)})}
    assert disagreements(both) == ()
    assert agreed_verdict(both, BOTH) is PASS


def test_one_environment_agrees_with_itself() -> None:
    assert agreed_verdict({"local": result({"a": (UNKNOWN,)})}, ["local"]) is UNKNOWN


def test_what_an_interrupted_run_did_not_see_disagrees_with_nothing() -> None:
    cut = result({"a": (PASS,), "b": (PASS, UNKNOWN)}, interrupted="SIGINT")
    both = {"local": result({"a": (PASS,), "b": (PASS,)}), "kind": cut}
    assert disagreements(both) == ()
    assert agreed_verdict(both, BOTH) is UNKNOWN


def test_what_an_interrupted_run_saw_fail_still_disagrees() -> None:
    both = {"local": result({"a": (PASS,)}), "kind": result({"a": (FAIL, UNKNOWN)}, interrupted="SIGINT")}
    assert agreed_verdict(both, BOTH) is FAIL
    assert len(disagreements(both)) == 1


def test_an_environment_that_was_asked_for_and_never_run_is_unknown() -> None:
    assert agreed_verdict({"kind": result({"a": (PASS,)}, interrupted="SIGINT")}, BOTH) is UNKNOWN
