from __future__ import annotations

import math
import re

import pytest
from hypothesis import given, settings
from rich.cells import cell_len

from harness.model import Phase, RunResult, Verdict
from harness.report import to_text

from .results import check, heat_result, life, result
from .strategies import results


def test_the_first_word_is_the_verdict() -> None:
    assert to_text(heat_result()).startswith("FAIL  1 failed, 5 unknown, 12 passed\n")
    assert to_text(result(check())).startswith("PASS  1 passed\n")


def test_each_experiment_has_a_line_with_verdict_and_time() -> None:
    lines = to_text(heat_result()).splitlines()
    assert any(re.match(r"  PASS +baseline +10\.0 s +2 passed", line) for line in lines)
    assert any(re.match(r"  FAIL +heat +48\.0 s +1 failed, 5 unknown, 10 passed +The cooling", line) for line in lines)


def test_an_experiment_that_was_not_reached_has_no_time_and_is_unknown() -> None:
    text = to_text(result(phases=()))
    assert re.search(r"UNKNOWN +heat +not reached +no checks", text)


def test_an_experiment_cut_short_has_no_time() -> None:
    run = heat_result()
    cut = result(*run.results, phases=(*run.phases[:1], Phase("heat", 12.0, None)))
    assert re.search(r"FAIL +heat +not ended", to_text(cut))


def test_an_alert_whose_whole_life_was_seen_is_said_to_be() -> None:
    text = to_text(result(*life("HighLatency", "heat")))
    assert "HighLatency in heat: whole life seen" in text
    assert "inactive before → pending" in text
    assert "1.25/3.5 s" in text


def test_an_alert_that_was_never_notified_is_not_said_to_be_whole() -> None:
    text = to_text(result(*life("HighLatency", "heat", broken_at="notified")))
    assert "whole life seen" not in text
    assert "HighLatency in heat: 3 of 6 stages seen" in text


def test_a_stage_that_was_not_checked_is_not_seen() -> None:
    text = to_text(result(*life("HighLatency", "heat")[:5]))
    assert "5 of 6 stages seen" in text
    assert "not checked" in text


def test_the_worse_of_two_checks_of_one_stage_is_shown() -> None:
    stages = life("HighLatency", "heat")
    worse = check("alert HighLatency: firing", Verdict.FAIL)
    for checks in ((*stages, worse), (worse, *stages)):
        assert "5 of 6 stages seen" in to_text(result(*checks))


def test_spec_time_is_shown_where_time_is_compressed() -> None:
    assert "1m15s/3m30s" in to_text(result(*life("HighLatency", "heat")))


def test_spec_time_is_left_out_at_scale_one() -> None:
    text = to_text(result(*life("HighLatency", "heat"), time_scale=1.0))
    assert "1m15s" not in text
    assert "1.25 s/3.5 s" not in text
    assert "spec time" not in text
    assert "1.25/3.5 s" in text


def test_what_fell_short_comes_with_figures_summary_and_evidence_failures_first() -> None:
    text = to_text(
        result(
            check("load: p95 during", Verdict.UNKNOWN, summary="no request"),
            check("fault kill: undone", Verdict.FAIL, measured=3, limit=2, unit="s", summary="late", evidence=(4, 5)),
        )
    )
    short = text[text.index("What fell short") :]
    assert short.index("fault kill: undone") < short.index("load: p95 during")
    assert "measured: 3 s, limit: 2 s (spec time 3m/2m)" in short
    assert "late" in short
    assert "evidence: #4 #5" in short
    assert "measured: not observed, limit: none" in short


def test_nothing_fell_short_only_when_something_was_checked() -> None:
    assert "What fell short\n  nothing\n" in to_text(result(check()))
    assert "nothing was checked, so nothing is known" in to_text(result())


@pytest.mark.parametrize(
    "run", [result(verdict=Verdict.PASS), result(check(verdict=Verdict.UNKNOWN), verdict=Verdict.PASS)]
)
def test_a_run_that_claims_to_pass_without_evidence_is_shown_as_unknown(run: RunResult) -> None:
    text = to_text(run)
    assert text.startswith("UNKNOWN")
    assert "PASS" not in text


def test_scope_coverage_seed_and_report_are_told() -> None:
    text = to_text(heat_result(), report_path="reports/x/report.html")
    assert (
        "Coverage: 1 of 3 alerts proved\n  proved: DiskFilling\n  unproved: HighGPUTemperature, TargetDown\n"
        "  receivers: 2 of 3 proved\n    unproved: mail: no alert was seen to arrive"
    ) in text
    assert "Not exercised\n  Grafana's server\n  network policy" in text
    assert "seed 42" in text
    assert text.endswith("report: reports/x/report.html\n")
    assert "report:" not in to_text(heat_result())


def test_an_early_end_is_told_at_the_top() -> None:
    assert "ended early: SIGINT in heat" in to_text(result(check(), interrupted="SIGINT in heat")).splitlines()[1]
    assert "ended early" not in to_text(result(check()))


@pytest.mark.parametrize(
    ("verdict", "cpu_waited", "told"),
    [
        (Verdict.FAIL, 0.76, True),
        (Verdict.UNKNOWN, 0.5, True),
        (Verdict.FAIL, 0.49, False),
        (Verdict.FAIL, None, False),
        (Verdict.PASS, 0.9, False),
    ],
)
def test_a_machine_short_of_processors_is_named_where_something_fell_short(
    verdict: Verdict, cpu_waited: float | None, told: bool
) -> None:
    text = " ".join(to_text(result(check("a", verdict), cpu_waited=cpu_waited)).split())
    assert ("short of processors" in text) is told
    if cpu_waited and told:
        assert f"for {cpu_waited:.0%} of the time" in text


def test_colour_only_when_wanted_and_the_words_stay_the_same() -> None:
    plain, coloured = to_text(heat_result()), to_text(heat_result(), colour=True)
    assert "\x1b" not in plain
    assert "\x1b[" in coloured
    assert " ".join(re.sub(r"\x1b\[[0-9;]*m", "", coloured).split()) == " ".join(plain.split())


@pytest.mark.parametrize("width", [40, 80, 100, 160])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    run = result(*heat_result().results, check("x" * 500, Verdict.FAIL, summary="y" * 3000 + " 漢" * 200))
    assert max(cell_len(line) for line in to_text(run, width=width).splitlines()) <= width


def test_a_long_alert_name_is_shown_in_full() -> None:
    name = "ModelServingLatencyAboveTheObjectiveOfTheTeam"
    assert f"{name} in heat" in to_text(result(*life(name, "heat")))


def test_escape_sequences_and_direction_overrides_are_shown_and_not_sent() -> None:
    hostile = "\x1b[2J\x07\u202eSSAP\r\n\x9b31m"
    text = to_text(result(check(hostile, Verdict.FAIL, summary=hostile), run_id=hostile, interrupted=hostile))
    assert not set(text) & set("\x1b\x07\u202e\r\x9b")
    assert "\\x1b[2J\\x07\\u202eSSAP" in text


def test_ordinary_right_to_left_text_is_kept() -> None:
    assert "שלום" in to_text(result(check(verdict=Verdict.FAIL, summary="שלום")))


def test_markup_of_the_terminal_library_is_plain_text() -> None:
    assert "[bold]x[/bold] :smile:" in to_text(result(check(verdict=Verdict.FAIL, summary="[bold]x[/bold] :smile:")))


def test_nan_is_shown_as_nan() -> None:
    run = result(check("a", Verdict.UNKNOWN, measured=math.nan, limit=math.inf, unit="s"))
    assert "measured: NaN s, limit: +Inf s" in to_text(run)


@settings(max_examples=100, deadline=None)
@given(results)
def test_any_result_can_be_told(run: RunResult) -> None:
    text = to_text(run, width=100)
    assert text.encode("utf-8")
    if any(one.verdict is not Verdict.PASS for one in run.results) or not run.results:
        assert not text.startswith("PASS")
