"""``junit.xml`` for CI servers: a suite for each experiment, a test case for each check.

FAIL is a failure and UNKNOWN an error of type ``unknown``, so that no server counts it as passed. What stands in no
check but keeps the run from passing (it was interrupted, an experiment was never judged) becomes an error of its own.
"""

from __future__ import annotations

import math
from xml.etree import ElementTree as ET

from harness.model import CheckResult, RunResult, Verdict
from harness.report.characters import xml_text
from harness.report.figures import figure
from harness.report.outline import Section, overall, sections


def to_junit(result: RunResult) -> str:
    """The document, with its XML declaration.

    ``time`` of a suite is how long its phase took in real seconds, 0 when that is not known; of a test case it is 0,
    as a check only reads the record.
    """
    told = sections(result)
    suites = [_suite(section, result) for section in told]
    unsaid = _unsaid(result, told)
    if unsaid:
        suites.append(_counted("run", [_error_case("run", name, why) for name, why in unsaid], 0.0, result))
    root = ET.Element("testsuites", {"name": xml_text(f"harness {result.run_id}")})
    for attribute in ("tests", "failures", "errors", "skipped"):
        root.set(attribute, str(sum(int(suite.get(attribute, "0")) for suite in suites)))
    root.set("time", _seconds(math.fsum(float(suite.get("time", "0")) for suite in suites)))
    root.extend(suites)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _suite(section: Section, result: RunResult) -> ET.Element:
    cases = [_case(check) for check in section.checks]
    if not cases:
        cases = [_error_case(section.name, "checks", "nothing was checked, so nothing is known of this experiment")]
    return _counted(section.name, cases, section.duration_s, result)


def _counted(name: str, cases: list[ET.Element], duration_s: float | None, result: RunResult) -> ET.Element:
    suite = ET.Element("testsuite", {"name": xml_text(name), "tests": str(len(cases))})
    suite.set("failures", str(sum(case.find("failure") is not None for case in cases)))
    suite.set("errors", str(sum(case.find("error") is not None for case in cases)))
    suite.set("skipped", "0")
    suite.set("time", _seconds(duration_s))
    suite.append(_properties(result))
    suite.extend(cases)
    return suite


def _properties(result: RunResult) -> ET.Element:
    stated = {
        "run_id": result.run_id,
        "environment": result.environment,
        "gpu": result.gpu,
        "time_scale": figure(result.time_scale, ""),
        "seed": str(result.seed),
        **{f"stack.{key}": value for key, value in result.stack.items()},
        **{f"version.{program}": version for program, version in result.versions.items()},
    }
    properties = ET.Element("properties")
    for name, value in stated.items():
        ET.SubElement(properties, "property", {"name": xml_text(name), "value": xml_text(value)})
    return properties


def _case(check: CheckResult) -> ET.Element:
    case = _bare_case(check.experiment, check.check)
    if check.verdict is Verdict.PASS:
        ET.SubElement(case, "system-out").text = xml_text(_detail(check))
        return case
    tag, kind = ("failure", "fail") if check.verdict is Verdict.FAIL else ("error", "unknown")
    finding = ET.SubElement(case, tag, {"type": kind, "message": xml_text(check.summary)})
    finding.text = xml_text(_detail(check))
    return case


def _error_case(suite: str, name: str, why: str) -> ET.Element:
    case = _bare_case(suite, name)
    ET.SubElement(case, "error", {"type": "unknown", "message": xml_text(why)}).text = xml_text(why)
    return case


def _bare_case(suite: str, name: str) -> ET.Element:
    return ET.Element("testcase", {"classname": xml_text(suite), "name": xml_text(name), "time": _seconds(0.0)})


def _unsaid(result: RunResult, told: tuple[Section, ...]) -> list[tuple[str, str]]:
    """What keeps the run from passing without standing in any suite, as names and reasons."""
    found = []
    if result.interrupted is not None:
        found.append(("completed", f"the run ended early: {result.interrupted}"))
    if not told:
        found.append(("checks", "nothing was checked"))
    elif overall(result) is not Verdict.PASS and all(section.verdict is Verdict.PASS for section in told):
        found.append(("verdict", f"every check passed, yet the run's verdict is {result.verdict.value}"))
    return found


def _detail(check: CheckResult) -> str:
    evidence = " ".join(f"#{number}" for number in check.evidence) or "none"
    measured = figure(check.measured, check.unit, "not observed")
    limit = figure(check.limit, check.unit, "none")
    return f"{check.summary}\nmeasured: {measured}\nlimit: {limit}\nevidence: {evidence}"


def _seconds(seconds: float | None) -> str:
    """A decimal as the schema wants it: neither negative nor NaN."""
    return f"{seconds:.3f}" if seconds is not None and math.isfinite(seconds) and seconds > 0 else "0.000"
