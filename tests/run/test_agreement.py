"""Verdicts of several environments: where they differ, somebody has to know."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from harness.model import CheckResult, RunResult, Verdict
from harness.run.agreement import agreed_verdict, disagreements
from tests.report.results import result as run_result

PASS, UNKNOWN, FAIL = Verdict.PASS, Verdict.UNKNOWN, Verdict.FAIL


def result(verdicts: Mapping[str, tuple[Verdict, ...]]) -> RunResult:
    checks = [
        CheckResult(experiment, f"check {number}", verdict, None, None, "", "", ())
        for experiment, of in verdicts.items()
        for number, verdict in enumerate(of)
    ]
    return run_result(*checks)


def test_the_same_verdicts_agree_whatever_their_checks() -> None:
    both = {"local": result({"a": (PASS, PASS), "b": (FAIL,)}), "kind": result({"a": (PASS,), "b": (FAIL, PASS)})}
    assert disagreements(both) == ()
    assert agreed_verdict(both) is FAIL


@pytest.mark.parametrize("other", [UNKNOWN, FAIL])
def test_another_verdict_in_one_environment_is_a_fail_that_names_both(other: Verdict) -> None:
    both = {"local": result({"a": (PASS,)}), "kind": result({"a": (PASS, other)})}
    (found,) = disagreements(both)
    assert str(found) == f"a: local: PASS, kind: {other.value}"
    assert agreed_verdict(both) is FAIL


def test_what_only_one_environment_runs_cannot_disagree() -> None:
    both = {"local": result({"a": (PASS,)}), "kind": result({"a": (PASS,), "node-lost": (PASS,)})}
    assert disagreements(both) == ()
    assert agreed_verdict(both) is PASS


def test_one_environment_agrees_with_itself() -> None:
    assert agreed_verdict({"local": result({"a": (UNKNOWN,)})}) is UNKNOWN
