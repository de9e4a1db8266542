from __future__ import annotations

import base64
import dataclasses
import hashlib
import math
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings

from harness.model import Event, RunResult, Verdict
from harness.report import from_json, to_html, to_json
from harness.report.html import MOST_ENTRIES

from .page import read
from .results import Record, alert_spec, check, heat_record, heat_result, life, result, spec
from .strategies import results

HOSTILE = (
    "</title></style></svg><script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{ 7*7 }}\x00\x1b\u202e\ud800 שלום"
)


def heat_page(**changes: Any) -> str:
    run = dataclasses.replace(heat_result(), **changes)
    return to_html(run, heat_record().events, spec(alert_spec()))


def hostile(value: Any, key: str = "") -> Any:
    """A document with every text in it made hostile, verdicts and event states aside."""
    if isinstance(value, str):
        return value if key in ("verdict", "status", "state") else f"{value}{HOSTILE}"
    if isinstance(value, dict):
        return {one: hostile(item, one) for one, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [hostile(item) for item in value]
    return value


def test_the_page_is_complete_and_well_formed() -> None:
    html = heat_page()
    page = read(html)
    assert html.startswith("<!doctype html>")
    assert {"main", "h1", "h2", "svg", "details"} <= page.names()
    ids = page.all("id")
    assert len(ids) == len(set(ids))
    assert {href.removeprefix("#") for href in page.all("href")} <= set(ids)
    assert {one for labels in page.all("aria-labelledby") for one in labels.split()} <= set(ids)


def test_the_page_asks_nothing_of_the_network_and_runs_nothing() -> None:
    html = heat_page()
    page = read(html)
    assert not page.names() & {"script", "link", "img", "iframe", "object", "embed", "form", "base", "image", "use"}
    assert not re.search(r"https?:|url\(|@import|javascript:", html)
    assert all(href.startswith("#") for href in page.all("href"))
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on") or name == "style"]


def test_its_policy_forbids_everything_but_its_own_style_sheet() -> None:
    page = read(heat_page())
    policy = next(one["content"] for _, one in page.tags if one.get("http-equiv") == "Content-Security-Policy")
    digest = base64.b64encode(hashlib.sha256(page.style.encode()).digest()).decode()
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}';")


def test_hostile_text_everywhere_stays_text() -> None:
    run = from_json(hostile(to_json(heat_result())))
    events = [
        Event(
            one.seq,
            one.t_s,
            one.wall_unix_s,
            one.kind,
            one.name + HOSTILE if one.kind != "phase" or one.name == "heat" else one.name,
            hostile(dict(one.data)),
        )
        for one in heat_record().events
    ]
    rule = replace(alert_spec("HighGPUTemperature" + HOSTILE), expr="gpu_temperature_celsius > 80" + HOSTILE)
    html = to_html(run, events, spec(rule))
    page = read(html)
    assert html.encode("utf-8")
    assert not page.names() & {"script", "img"}
    assert "<script" not in html
    assert "{{ 7*7 }}" in page.text
    assert "שלום" in page.text
    assert not set(html) & set("\x00\x1b\u202e\ud800")
    assert len([tag for tag, _ in page.tags if tag == "rect"]) > 3, "the chart was not drawn at all"


def test_the_verdict_and_what_it_rests_on_are_told() -> None:
    text = " ".join(read(heat_page()).text.split())
    assert "FAIL 1 failed, 5 unknown, 12 passed" in text
    for fact in ("local", "simulated", "says nothing of hardware", "42", "ab" * 32, "2.42.0", "network policy"):
        assert fact in text
    assert "1 of 3 alerts of this stack are proved" in text


def test_a_real_gpu_is_named_and_not_called_simulated() -> None:
    text = read(heat_page(gpu="NVIDIA H100")).text
    assert "NVIDIA H100" in text
    assert "simulated" not in text


def test_each_check_is_a_row_that_the_filter_can_tell_by_its_verdict() -> None:
    page = read(heat_page())
    rows = [one["class"] for tag, one in page.tags if tag == "details" and one.get("class", "").startswith("check ")]
    assert [rows.count(f"check {verdict}") for verdict in ("pass", "unknown", "fail")] == [12, 5, 1]
    for verdict in ("pass", "unknown", "fail"):
        assert f"show-{verdict}" in page.all("id")
        assert f"#show-{verdict}:checked ~ .chapters .check:not(.{verdict})" in page.style


@pytest.mark.parametrize(
    "run", [result(verdict=Verdict.PASS), result(check(verdict=Verdict.UNKNOWN), verdict=Verdict.PASS)]
)
def test_unknown_is_never_shown_as_pass(run: RunResult) -> None:
    page = read(to_html(run, (), spec()))
    verdicts = {one["class"] for tag, one in page.tags if tag == "b" and "verdict" in one.get("class", "")}
    assert verdicts == {"verdict unknown"}
    assert "every check passed" not in page.text


def test_a_run_that_passed_is_shown_as_passed() -> None:
    page = read(to_html(result(check()), (), spec()))
    verdicts = {one["class"] for tag, one in page.tags if tag == "b" and "verdict" in one.get("class", "")}
    assert verdicts == {"verdict pass"}
    assert "every check passed" in page.text


def test_an_empty_run_says_that_nothing_is_known() -> None:
    text = read(to_html(result(experiments=(), phases=()), (), spec())).text
    assert "Nothing was checked, so nothing is known." in text
    assert "None was run." in text


def test_evidence_is_linked_to_the_entry_quoted_on_the_page() -> None:
    page = read(heat_page())
    assert "#e30" in page.all("href")
    assert "e30" in page.all("id")
    assert '"requests": 100' in page.text


def test_evidence_that_the_record_lacks_is_named_but_not_linked() -> None:
    page = read(heat_page())
    assert "#99999" in page.text
    assert "#e99999" not in page.all("href")


def test_entries_nobody_cites_are_not_on_the_page() -> None:
    uncited = next(event.seq for event in heat_record().events if event.kind == "sample")
    assert f"e{uncited}" not in read(heat_page()).all("id")


def test_a_long_record_does_not_make_a_long_page() -> None:
    record = Record()
    record.add(0, "phase", "heat", status="begin")
    for number in range(60_000):
        record.add(
            number / 100, "notice", "pager", status="firing", arrived_s=number / 100, alertname="A" * 900, labels={}
        )
    record.add(601, "phase", "heat", status="end")
    everything = check(evidence=tuple(range(60_000)), summary="y" * 100_000)
    many = (check(evidence=tuple(range(first, first + 40))) for first in range(0, 4000, 40))
    html = to_html(result(everything, *many), record.events, spec())
    assert len(html) < 3_000_000
    assert html.count('<li id="e') == MOST_ENTRIES
    assert "59960 more" in html


def test_nan_and_infinity_are_shown_as_such() -> None:
    text = read(to_html(result(check(measured=math.nan, limit=math.inf, unit="s")), (), spec())).text
    assert "NaN s" in text
    assert "+Inf s" in text


def test_spec_time_is_shown_only_where_time_is_compressed() -> None:
    compressed = result(*life("A", "heat"))
    assert "in spec time" in read(to_html(compressed, (), spec())).text
    assert "spec time" not in read(to_html(dataclasses.replace(compressed, time_scale=1.0), (), spec())).text


def test_the_chart_has_a_title_a_description_and_a_table_beside_it() -> None:
    html = heat_page()
    assert '<title id="chart-2-title">heat over time</title>' in html
    description = re.search(r'<desc id="chart-2-desc">(.*?)</desc>', html)
    assert description
    assert "Alert HighGPUTemperature: inactive from 12.0 to 16.0 s, pending from 16.0 to 18.2 s" in description[1]
    assert "receiver pager: HighGPUTemperature resolved" in html


def test_an_experiment_the_record_does_not_hold_has_no_chart_and_says_so() -> None:
    page = read(to_html(heat_result(), (), spec()))
    assert "The record holds no such phase" in page.text
    assert "chart" not in page.all("class")


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_every_text_colour_has_the_contrast_that_wcag_aa_asks_for(scheme: int) -> None:
    block = re.findall(r":root \{(.*?)\}", read(heat_page()).style, re.DOTALL)[scheme]
    colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6});", block))
    for text in ("ink", "soft", "link", "pass", "fail", "unknown"):
        for ground in ("paper", "raised"):
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)


def test_the_contrast_measure_can_fail() -> None:
    assert contrast("#777777", "#ffffff") < 4.5 < contrast("#000000", "#ffffff") <= 21.001


def contrast(one: str, other: str) -> float:
    """As defined in WCAG 2.1, "contrast ratio"."""

    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@settings(max_examples=60, deadline=None)
@given(results)
def test_any_result_makes_a_well_formed_page(run: RunResult) -> None:
    html = to_html(run, heat_record().events, spec(alert_spec()))
    assert html.encode("utf-8")
    assert not read(html).names() & {"script", "img"}
