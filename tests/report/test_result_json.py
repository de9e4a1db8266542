from __future__ import annotations

import copy
import json
import math
from typing import Any

import pytest
from hypothesis import given, settings

from harness.errors import InputError
from harness.model import RunResult, Verdict
from harness.report import from_json, to_json, to_json_text

from .results import check, heat_result, result
from .strategies import results


def strict(text: str) -> Any:
    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


@settings(max_examples=150, deadline=None)
@given(results)
def test_what_is_written_is_read_back(run: RunResult) -> None:
    again = from_json(strict(to_json_text(run)))
    assert to_json(again) == to_json(run)
    assert len(again.results) == len(run.results)


def test_a_result_without_nan_is_equal_after_the_round_trip() -> None:
    assert from_json(strict(to_json_text(heat_result()))) == heat_result()


def test_a_change_of_one_check_does_not_survive_as_the_same_result() -> None:
    document = to_json(heat_result())
    document["results"][0]["measured"] = 1.0
    assert from_json(document) != heat_result()


def test_the_document_has_the_keys_that_are_promised() -> None:
    document = to_json(heat_result())
    assert document["verdict"] == "FAIL"
    assert (document["environment"], document["time_scale"], document["gpu"]) == ("local", 60.0, "simulated")
    assert document["not_exercised"] == ["Grafana's server", "network policy"]
    assert document["coverage"] == {
        "alerts": {"proved": ["DiskFilling"], "unproved": ["HighGPUTemperature", "TargetDown"]},
        "receivers": {"proved": ["pager", "chat"], "unproved": ["mail: no alert was seen to arrive"]},
    }
    promised = {"experiment", "check", "verdict", "measured", "limit", "unit", "summary", "evidence"}
    assert all(set(entry) == promised for entry in document["results"])


def test_numbers_json_cannot_hold_are_the_strings_prometheus_writes() -> None:
    run = result(check(measured=math.nan, limit=math.inf), check(measured=-math.inf, limit=None))
    first, second = strict(to_json_text(run))["results"]
    assert (first["measured"], first["limit"]) == ("NaN", "+Inf")
    assert (second["measured"], second["limit"]) == ("-Inf", None)
    again = from_json(to_json(run))
    assert math.isnan(again.results[0].measured or 0.0)
    assert again.results[1].limit is None


def test_a_finite_number_stays_a_number() -> None:
    assert strict(to_json_text(result(check(measured=0.0))))["results"][0]["measured"] == 0.0


def test_text_that_utf8_cannot_hold_is_escaped_and_comes_back() -> None:
    run = result(check(summary="half \ud800 a pair, and é"))
    text = to_json_text(run)
    assert "é".encode() in text.encode("utf-8")
    assert from_json(strict(text)) == run


def test_every_mistake_of_a_document_is_named_at_once() -> None:
    document: dict[str, Any] = copy.deepcopy(to_json(heat_result()))
    document["schema"] = 99
    document["seed"] = True
    document["results"][1]["verdict"] = "PASSED"
    document["results"][2]["limit"] = "soon"
    del document["coverage"]["alerts"]["proved"]
    with pytest.raises(InputError) as raised:
        from_json(document, file="old/result.json")
    places = {mistake.where for mistake in raised.value.mistakes}
    assert places == {"schema", "seed", "results[1].verdict", "results[2].limit", "coverage.alerts.proved"}
    assert "old/result.json: results[1].verdict: got 'PASSED', need PASS, UNKNOWN or FAIL" in str(raised.value)


@pytest.mark.parametrize("document", [None, [], "PASS", {}])
def test_what_is_no_result_at_all_is_refused(document: Any) -> None:
    with pytest.raises(InputError):
        from_json(document)


def test_an_empty_run_is_unknown_not_passed() -> None:
    assert to_json(result())["verdict"] == Verdict.UNKNOWN.value
