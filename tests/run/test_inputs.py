"""What an experiment names and the stack lacks is told before anything is touched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness import defaults
from harness.errors import InputError
from harness.run.inputs import read_experiments
from harness.stack import Stack, load_stack

KILLED = defaults.EXPERIMENTS / "inference-pod-killed.yaml"
CUT = defaults.CLUSTER_EXPERIMENTS / "inference-cut-off.yaml"
FULL = defaults.EXPERIMENTS / "model-volume-full.yaml"
Change = Callable[[dict[str, Any], dict[str, Any]], None]


@pytest.fixture(scope="module")
def stack() -> Stack:
    return load_stack(*defaults.stacks("kind"))


def restarts_of_nothing(_: dict[str, Any], expect: dict[str, Any]) -> None:
    expect["restarts"] = [{"workload": "infrence", "count": 0}]


def a_cut_to_a_misspelt_workload(arguments: dict[str, Any], _: dict[str, Any]) -> None:
    arguments["to_workload"] = "promtheus"


def a_volume_that_is_not_there(arguments: dict[str, Any], _: dict[str, Any]) -> None:
    arguments["volume"] = "modles"


def another_namespace(arguments: dict[str, Any], _: dict[str, Any]) -> None:
    arguments["namespace"] = "elsewhere"


def an_alert_that_is_not_there(_: dict[str, Any], expect: dict[str, Any]) -> None:
    expect["pending"] = [{"alert": "NoSuchAlert", "times": 1}]


@pytest.mark.parametrize(
    ("path", "change", "key", "problem"),
    [
        (
            KILLED,
            restarts_of_nothing,
            "extensions[0].expect.restarts[0].workload",
            "has no workload ",
        ),
        (CUT, a_cut_to_a_misspelt_workload, "method[0].provider.arguments.to_workload", "has no workload "),
        (FULL, a_volume_that_is_not_there, "method[0].provider.arguments.volume", "has no volume 'modles'"),
        (FULL, another_namespace, "method[0].provider.arguments.workload", "namespace elsewhere of the stack has no"),
        (KILLED, an_alert_that_is_not_there, "extensions[0].expect.pending[0].alert", "selects no rule 'NoSuchAlert'"),
    ],
)
def test_a_name_the_stack_lacks_is_bad_input(
    stack: Stack, tmp_path: Path, path: Path, change: Change, key: str, problem: str
) -> None:
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert read_experiments(stack, [path], environment="kind")
    (ours,) = (each for each in document["extensions"] if each["name"] == "harness")
    change(document["method"][0]["provider"]["arguments"], ours["expect"])
    wrong = tmp_path / path.name
    wrong.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_experiments(stack, [wrong], environment="kind")
    (mistake,) = caught.value.mistakes
    assert (mistake.where, problem in mistake.problem) == (key, True)
