from __future__ import annotations

from xml.etree import ElementTree as ET

from hypothesis import given, settings

from harness.model import Phase, RunResult, Verdict
from harness.report import to_junit

from .results import check, heat_result, result
from .strategies import results


def parsed(run: RunResult) -> ET.Element:
    return ET.fromstring(to_junit(run).encode("utf-8"))


def cases(root: ET.Element, tag: str) -> list[str]:
    return [case.get("name", "") for case in root.iter("testcase") if case.find(tag) is not None]


def green(root: ET.Element) -> bool:
    return root.get("failures") == "0" and root.get("errors") == "0"


def test_one_suite_per_experiment_with_a_case_per_check() -> None:
    root = parsed(heat_result())
    assert [(suite.get("name"), suite.get("tests")) for suite in root] == [("baseline", "2"), ("heat", "16")]
    assert [suite.get("time") for suite in root] == ["10.000", "48.000"]
    assert root.get("tests") == "18"


def test_a_failed_check_is_a_failure_and_an_unknown_one_an_error() -> None:
    root = parsed(result(check("a", Verdict.FAIL), check("b", Verdict.UNKNOWN), check("c")))
    assert cases(root, "failure") == ["a"]
    assert cases(root, "error") == ["b"]
    assert [error.get("type") for error in root.iter("error")] == ["unknown"]
    assert (root.get("failures"), root.get("errors"), root.get("tests")) == ("1", "1", "3")


def test_a_run_that_passed_is_green() -> None:
    root = parsed(result(check("a"), check("b")))
    assert green(root)
    assert not cases(root, "failure")


def test_an_experiment_nobody_judged_is_an_error() -> None:
    root = parsed(result(check("quiet", experiment="baseline"), verdict=Verdict.PASS))
    assert [suite.get("errors") for suite in root] == ["0", "1"]


def test_a_baseline_nobody_judged_is_an_error() -> None:
    unjudged = result(check("a"), phases=(Phase("baseline", 0.0, 5.0),))
    assert [(suite.get("name"), suite.get("errors")) for suite in parsed(unjudged)] == [
        ("baseline", "1"),
        ("heat", "0"),
    ]


def test_an_empty_run_is_an_error() -> None:
    assert cases(parsed(result(experiments=(), phases=())), "error") == ["checks"]


def test_an_interrupted_run_is_an_error_though_every_check_passed() -> None:
    root = parsed(result(check("a"), interrupted="SIGINT"))
    assert cases(root, "error") == ["completed"]
    assert "SIGINT" in to_junit(result(check("a"), interrupted="SIGINT"))


def test_a_verdict_worse_than_its_checks_is_an_error() -> None:
    assert cases(parsed(result(check("a"), verdict=Verdict.FAIL)), "error") == ["verdict"]


def test_the_properties_say_what_the_run_rests_on() -> None:
    stated = {one.get("name"): one.get("value") for one in parsed(heat_result())[0].iter("property")}
    assert stated["version.prometheus"] == "2.42.0"
    assert (stated["seed"], stated["time_scale"], stated["gpu"]) == ("42", "60", "simulated")


def test_measured_limit_and_evidence_stand_in_the_finding() -> None:
    failed = check("a", Verdict.FAIL, measured=3.0, limit=2.0, unit="s", summary="too slow", evidence=(7, 9))
    finding = next(parsed(result(failed)).iter("failure"))
    assert finding.get("message") == "too slow"
    assert finding.text == "too slow\nmeasured: 3 s\nlimit: 2 s\nevidence: #7 #9"


def test_what_was_not_observed_is_said_and_not_zero() -> None:
    finding = next(parsed(result(check("a", Verdict.UNKNOWN))).iter("error"))
    assert "measured: not observed\nlimit: none\nevidence: none" in (finding.text or "")


def test_characters_xml_cannot_hold_are_replaced() -> None:
    hostile = check("a\x00<b>&\"'", Verdict.FAIL, summary="esc \x1b[2J \ud800 ]]> \ufffe")
    case = next(parsed(result(hostile)).iter("testcase"))
    assert case.get("name") == "a\ufffd<b>&\"'"
    assert next(case.iter("failure")).get("message") == "esc \ufffd[2J \ufffd ]]> \ufffd"


def test_harmless_text_is_left_alone() -> None:
    case = next(parsed(result(check("90 % – größer als 𝟗"))).iter("testcase"))
    assert case.get("name") == "90 % – größer als 𝟗"


@settings(max_examples=100, deadline=None)
@given(results)
def test_any_result_gives_the_shape_ci_servers_read(run: RunResult) -> None:
    root = parsed(run)
    assert root.tag == "testsuites"
    for suite in [root, *root]:
        found = list(suite.iter("testcase"))
        assert suite.get("tests") == str(len(found))
        assert suite.get("failures") == str(sum(case.find("failure") is not None for case in found))
        assert suite.get("errors") == str(sum(case.find("error") is not None for case in found))
        assert float(suite.get("time", "nan")) >= 0
    for suite in root:
        assert suite[0].tag == "properties"
        assert {child.tag for child in suite} == {"properties", "testcase"}
        assert all(set(case.attrib) == {"classname", "name", "time"} for case in suite.iter("testcase"))
    passes = run.verdict is Verdict.PASS and all(one.verdict is Verdict.PASS for one in run.results)
    assert not green(root) or passes
