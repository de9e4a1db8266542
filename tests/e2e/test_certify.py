"""The shipped stack and experiments, certified for real."""

from __future__ import annotations

import re
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from tests.e2e.conftest import CHECKOUT, Outcome, Runner, lengthy

# One worker makes the certification that the tests of this module look at.
pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("certified"), lengthy]

EXPERIMENTS = sorted(path.stem for path in (CHECKOUT / "experiments").glob("*.yaml"))


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """One run of everything that is shipped, with all defaults."""
    return Runner(tmp_path_factory.mktemp("certified")).certify()


def test_everything_that_is_shipped_passes(certified: Outcome) -> None:
    short = [each for each in certified.result["results"] if each["verdict"] != "PASS"]
    assert (certified.code, certified.result["verdict"], short) == (0, "PASS", []), certified.out


def test_every_experiment_was_judged_by_its_own_alerts_and_faults(certified: Outcome) -> None:
    results = certified.result["results"]
    assert {each["experiment"] for each in results} == {"startup", "baseline", *EXPERIMENTS}
    for name in EXPERIMENTS:
        checks = certified.verdicts(name)
        assert any(check.startswith("fault ") and check.endswith("took effect") for check in checks), name
        assert "nothing else fired" in checks


def test_everything_the_stack_has_is_proved(certified: Outcome) -> None:
    coverage = certified.result["coverage"]
    alerts = coverage["alerts"]
    assert alerts["unproved"] == []
    assert coverage["panels"]["unproved"] == []
    assert coverage["inhibition_rules"]["unproved"] == []
    # What takes the alerts that nobody thought of: none of the stack's own ends there.
    assert coverage["receivers"]["unproved"] == ["null: no alert was seen to arrive, and it has no integrations"]
    assert coverage["routes"]["unproved"] == [
        "the root → null",
        '{team="model-serving"} → monitoring/model-serving/chat',
    ]
    assert {"TargetDown", "HighLatency", "TrainingNotProgressing", "GPULost", "Watchdog"} <= set(alerts["proved"])


def test_result_says_what_it_rests_on(certified: Outcome) -> None:
    result = certified.result
    assert result["environment"] == "local"
    assert result["time_scale"] == 60
    assert result["gpu"] == "simulated"
    assert any("simulated" in note for note in result["not_exercised"])
    for each in result["results"]:
        assert each.keys() >= {
            "experiment",
            "check",
            "verdict",
            "measured",
            "limit",
            "unit",
            "summary",
            "evidence",
        }
        assert all(isinstance(number, int) for number in each["evidence"])


def test_how_long_the_stack_took_is_on_record(certified: Outcome) -> None:
    (started,) = (event for event in certified.events("run") if event["name"] == "started")
    assert started["data"]["ready_s"] > 0


def test_the_evidence_alone_gives_the_same_verdict(certified: Outcome, runner: Runner) -> None:
    again = runner.run("check", str(certified.run_dir))
    assert again.code == 0, again.err
    assert "agrees with result.json" in again.out


def test_a_result_that_was_changed_does_not_agree(certified: Outcome, runner: Runner, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(certified.run_dir, tmp_path / "copy", ignore=shutil.ignore_patterns("node")))
    timeline = (copy / "timeline.jsonl").read_text(encoding="utf-8")
    assert '"name":"monitoring/model-serving/pager"' in timeline
    changed = timeline.replace('"name":"monitoring/model-serving/pager"', '"name":"monitoring/model-serving/void"')
    (copy / "timeline.jsonl").write_text(changed, encoding="utf-8")
    again = runner.run("check", str(copy))
    assert again.code == 4
    assert "does not agree" in again.err


def test_notifications_really_arrived_at_the_receiver_of_their_labels(certified: Outcome) -> None:
    arrived = {(event["name"].rsplit("/", 1)[-1], event["data"]["alertname"]) for event in certified.events("notice")}
    assert arrived >= {
        ("pager", "TargetDown"),
        ("pager", "HighGPUTemperature"),
        ("chat", "DiskFilling"),
        ("chat", "GPUThrottled"),
        ("chat", "HighLatency"),
        ("heartbeat", "Watchdog"),
    }


def test_reports_are_complete_and_open_offline(certified: Outcome) -> None:
    assert len(certified.events("run")) == 2
    suites = ElementTree.parse(certified.run_dir / "junit.xml").getroot()
    assert int(suites.attrib["tests"]) == len(certified.result["results"])
    html = (certified.run_dir / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"(?:src|href)=[\"']?(?:https?:)?//", html)
    assert all(name in html for name in EXPERIMENTS)


def test_nothing_is_left_outside_the_run_directory(certified: Outcome) -> None:
    root = certified.run_dir.parent
    left = [str(path) for name in ("cwd", "home", "tmp") for path in Path(root / name).rglob("*")]
    assert left == []
