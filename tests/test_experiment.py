"""Experiment files: every mistake with file and key path, and never a traceback."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.errors import InputError
from harness.experiment import load_experiments
from harness.model import Experiment
from harness.spec import Receiver, Spec
from harness.stack import load_stack
from tests.checks.timelines import alert_spec, route

ROOT = Path(__file__).parents[1]
SPEC = Spec((alert_spec("Hot"), alert_spec("Cold")), route("null"), (Receiver("ns/routes/pager", True, ()),))
Change = Callable[[dict[str, Any]], object]


def valid() -> dict[str, Any]:
    return {
        "title": "It gets hot",
        "description": "It does.",
        "tags": ["gpu"],
        "method": [
            {
                "type": "action",
                "name": "heat",
                "provider": {
                    "type": "python",
                    "module": "harness.chaos",
                    "func": "lose_gpu_cooling",
                    "arguments": {"gpu": 0, "celsius": 86},
                },
            },
            {
                "type": "action",
                "name": "hold",
                "pauses": {"after": 1},
                "provider": {
                    "type": "python",
                    "module": "harness.chaos",
                    "func": "hold",
                    "arguments": {"alerts": ["Hot"], "at_least": "1m"},
                },
            },
        ],
        "rollbacks": [
            {
                "type": "action",
                "name": "undo",
                "provider": {"type": "python", "module": "harness.chaos", "func": "undo_faults"},
            }
        ],
        "extensions": [
            {
                "name": "harness",
                "expect": {
                    "alerts": [{"alert": "Hot", "receiver": "pager", "labels": {"gpu_id": "0"}, "within": "2m"}],
                    "load": {"during": {"p95": "1s"}, "after": {"error_ratio": 0.01, "within": "30s"}},
                    "restarts": [{"workload": "inference", "count": 1}],
                },
                "allow": ["Cold"],
            }
        ],
    }


def write(path: Path, document: Any) -> Path:
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


def mistakes(path: Path, spec: Spec | None = SPEC) -> list[tuple[str, str]]:
    """Key path and problem of each mistake; all name the file."""
    with pytest.raises(InputError) as raised:
        load_experiments([path], spec)
    assert {str(mistake.file) for mistake in raised.value.mistakes} == {str(path)}
    return [(mistake.where, mistake.problem) for mistake in raised.value.mistakes]


def test_a_valid_file_is_read_as_it_says(tmp_path: Path) -> None:
    (read,) = load_experiments([write(tmp_path / "hot.yaml", valid())], SPEC)
    assert (read.name, read.title, read.allowed_alerts) == ("hot", "It gets hot", ("Cold",))
    assert [(fault.kind, fault.target) for fault in read.faults] == [("gpu-cooling-lost", "gpu 0")]
    assert [(each.kind, each.bound_s) for each in read.expectations] == [
        ("alert", 120.0),
        ("restarts", None),
        ("load", None),
        ("load", 30.0),
    ]
    assert read.document == valid()
    assert len(read.sha256) == 64


def provider(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = document["method"][0]["provider"]
    return found


def ours(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = document["extensions"][0]
    return found


ARGUMENTS = "method[0].provider.arguments"
CASES: list[tuple[str, Change, str, str]] = [
    ("unknown key", lambda d: ours(d)["expect"].update(alert=[]), "extensions[0].expect.alert", "unknown key"),
    ("wrong type", lambda d: ours(d)["expect"].update(alerts={}), "extensions[0].expect.alerts", "valid list"),
    ("no expect", lambda d: ours(d).pop("expect"), "extensions[0].expect", "missing"),
    ("expect null", lambda d: ours(d).update(expect=None), "extensions[0].expect", "got None"),
    ("alerts null", lambda d: ours(d)["expect"].update(alerts=None), "extensions[0].expect.alerts", "got None"),
    ("allow null", lambda d: ours(d).update(allow=None), "extensions[0].allow", "got None"),
    (
        "bad duration",
        lambda d: ours(d)["expect"]["alerts"][0].update(within="-5"),
        "extensions[0].expect.alerts[0].within",
        "got '-5': '-5' is not a duration",
    ),
    (
        "endless duration",
        lambda d: ours(d)["expect"]["alerts"][0].update(within="9" * 400 + "s"),
        "extensions[0].expect.alerts[0].within",
        "longer than the 292 years",
    ),
    (
        "negative count",
        lambda d: ours(d)["expect"]["restarts"][0].update(count=-1),
        "extensions[0].expect.restarts[0].count",
        "greater than or equal to 0",
    ),
    (
        "a number as label",
        lambda d: ours(d)["expect"]["alerts"][0].update(labels={"gpu_id": 0}),
        "extensions[0].expect.alerts[0].labels.gpu_id",
        "got 0",
    ),
    (
        "ratio that is no number",
        lambda d: ours(d)["expect"]["load"]["after"].update(error_ratio=float("nan")),
        "extensions[0].expect.load.after.error_ratio",
        "got nan",
    ),
    (
        "empty bound",
        lambda d: ours(d)["expect"]["load"].update(during={}),
        "extensions[0].expect.load.during",
        "need p95",
    ),
    ("empty load", lambda d: ours(d)["expect"].update(load={}), "extensions[0].expect.load", "need during or after"),
    (
        "alert the stack lacks",
        lambda d: ours(d)["expect"]["alerts"][0].update(alert="Wet"),
        "extensions[0].expect.alerts[0].alert",
        "no rule 'Wet'; it has: Cold, Hot",
    ),
    (
        "allowed alert the stack lacks",
        lambda d: ours(d).update(allow=["Wet"]),
        "extensions[0].allow[0]",
        "no rule 'Wet'",
    ),
    (
        "held alert the stack lacks",
        lambda d: d["method"][1]["provider"]["arguments"].update(alerts=["Hot", "Wet"]),
        "method[1].provider.arguments.alerts[1]",
        "no rule 'Wet'",
    ),
    (
        "unknown receiver",
        lambda d: ours(d)["expect"]["alerts"][0].update(receiver="ager"),
        "extensions[0].expect.alerts[0].receiver",
        "no receiver 'ager'; it has: ns/routes/pager",
    ),
    (
        "unknown function",
        lambda d: provider(d).update(func="melt"),
        "method[0].provider.func",
        "got 'melt', need one of",
    ),
    ("unhashable function", lambda d: provider(d).update(func=["x"]), "method[0].provider.func", "got ['x']"),
    (
        "unknown argument",
        lambda d: provider(d)["arguments"].update(kelvin=1),
        f"{ARGUMENTS}.kelvin",
        "unknown; lose_gpu_cooling takes: gpu, celsius",
    ),
    (
        "missing argument",
        lambda d: provider(d).update(func="kill_pod", arguments=None),
        f"{ARGUMENTS}.workload",
        "missing",
    ),
    ("ill-typed argument", lambda d: provider(d)["arguments"].update(gpu="0"), f"{ARGUMENTS}.gpu", "valid integer"),
    ("argument out of range", lambda d: provider(d)["arguments"].update(gpu=-1), f"{ARGUMENTS}.gpu", "got -1"),
    ("arguments as a list", lambda d: provider(d).update(arguments=[]), ARGUMENTS, "got list, need a mapping"),
    ("arguments as a text", lambda d: provider(d).update(arguments=""), ARGUMENTS, "got str, need a mapping"),
    ("no extensions", lambda d: d.pop("extensions"), "extensions", "got nothing, need a list"),
    ("extensions as a mapping", lambda d: d.update(extensions={}), "extensions", "got dict, need a list"),
    (
        "extension of others",
        lambda d: ours(d).update(name="x"),
        "extensions",
        "exactly one entry named 'harness', got 0",
    ),
    ("two extensions", lambda d: d["extensions"].append({"name": "harness"}), "extensions", "got 2"),
    ("no method", lambda d: d.pop("method"), "method", "got nothing, need a list"),
    ("method as a mapping", lambda d: d.update(method={}), "method", "got dict, need a list"),
    ("rollbacks as a mapping", lambda d: d.update(rollbacks={}), "rollbacks", "got dict, need a list"),
    ("no title", lambda d: d.pop("title"), "", "Chaos Toolkit does not accept it"),
    ("an activity as a number", lambda d: d["method"].append(3), "", "Chaos Toolkit does not accept it"),
]


@pytest.mark.parametrize(("change", "where", "problem"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_mistake_is_named_where_it_is(tmp_path: Path, change: Change, where: str, problem: str) -> None:
    document = valid()
    change(document)
    found = mistakes(write(tmp_path / "bad.yaml", document))
    assert len(found) == 1, found
    assert found[0][0] == where
    assert problem in found[0][1]


def test_all_mistakes_of_all_files_come_at_once(tmp_path: Path) -> None:
    document = valid()
    ours(document)["expect"]["alerts"][0]["within"] = "soon"
    provider(document)["func"] = "melt"
    first, second = write(tmp_path / "a.yaml", document), write(tmp_path / "b.yaml", [1])
    with pytest.raises(InputError) as raised:
        load_experiments([first, second, tmp_path / "none.yaml"], SPEC)
    assert [(Path(m.file).name, m.where) for m in raised.value.mistakes] == [
        ("a.yaml", "extensions[0].expect.alerts[0].within"),
        ("a.yaml", "method[0].provider.func"),
        ("b.yaml", ""),
        ("none.yaml", ""),
    ]


DEEP = "[" * 300 + "]" * 300
LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("title: [", "is not YAML"),
        ("a: 1\n---\nb: 2\n", "holds 2 documents, need one experiment a file"),
        ("title: !!python/object:os.system x", "is not YAML"),
        ("title: \x00", "is not YAML"),
        ("? [a]\n: b\n", "is not YAML"),
        ("- a\n", "got list, need a mapping"),
        ("", "got nothing, need a mapping"),
        ("just text", "got str, need a mapping"),
        (f"title: {DEEP}", "nested more than"),
        ("title: " + "[" * 5000, "is not YAML"),
        ("method: &m [*m]\ntitle: x\n", "nested more than"),
        (LAUGHS, "values, more than"),
        ("title: " + "9" * 5000, "is not YAML"),
        ("title: a\nmethod: []\ntitle: b\n", "line 3: the key 'title' stands already on line 1"),
        ("title: !!bool maybe", "a value is not what its tag says"),
    ],
    ids=range(15),
)
def test_text_that_is_no_experiment_is_told(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text, encoding="utf-8")
    found = mistakes(path)
    assert problem in found[0][1]


def test_aliases_in_moderation_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "good.yaml"
    document = valid()
    document["configuration"] = {"a": document["tags"], "b": document["tags"]}
    write(path, document)
    assert "&id" in path.read_text(encoding="utf-8")
    assert load_experiments([path], SPEC)


def test_numbers_beyond_measure_are_told(tmp_path: Path) -> None:
    path = write(tmp_path / "bad.yaml", valid())
    text = path.read_text(encoding="utf-8")
    for number in ("1" + "0" * 300, "0x" + "f" * 6000, ".inf", "-.inf", ".nan"):
        path.write_text(text.replace("celsius: 86", f"celsius: {number}"), encoding="utf-8")
        assert mistakes(path)[0][0] == f"{ARGUMENTS}.celsius"


def test_files_that_are_not_there_or_not_text_are_told(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "latin.yaml").write_bytes(b"title: caf\xe9\n")
    (tmp_path / "folder.yaml").mkdir()
    assert mistakes(tmp_path / "none.yaml") == [("", "does not exist")]
    assert "holds no experiment" in mistakes(tmp_path / "empty")[0][1]
    assert "cannot be read" in mistakes(tmp_path / "latin.yaml")[0][1]
    assert "holds no experiment" in mistakes(tmp_path / "folder.yaml")[0][1]


def test_two_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    first = write(tmp_path / "hot.yaml", valid())
    second = write(tmp_path / "sub" / "hot.yaml", valid())
    with pytest.raises(InputError, match=r"sub/hot.yaml: has the same name as .*hot.yaml"):
        load_experiments([first, second], SPEC)


def test_the_runs_own_phase_is_no_name_for_an_experiment(tmp_path: Path) -> None:
    assert "baseline" in mistakes(write(tmp_path / "baseline.yaml", valid()))[0][1]


def test_json_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "hot.json"
    path.write_text(json.dumps(valid()), encoding="utf-8")
    assert [each.name for each in load_experiments([tmp_path], SPEC)] == ["hot"]
    path.write_text("{", encoding="utf-8")
    assert "is not JSON" in mistakes(path)[0][1]
    path.write_text('{"title": "a", "title": "b"}', encoding="utf-8")
    assert mistakes(path)[0][1] == "the key 'title' stands 2 times in one object"


def test_without_alerts_the_stack_has_to_stay_quiet(tmp_path: Path) -> None:
    document = valid()
    ours(document)["expect"] = {"alerts": []}
    (read,) = load_experiments([write(tmp_path / "calm.yaml", document)], SPEC)
    assert [each.kind for each in read.expectations] == ["quiet"]


def test_without_a_stack_the_file_alone_is_checked(tmp_path: Path) -> None:
    document = valid()
    ours(document)["expect"]["alerts"][0]["alert"] = "Wet"
    assert load_experiments([write(tmp_path / "wet.yaml", document)], None)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    if isinstance(value, (dict, list)):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*path, key))


PLACES = list(places(valid()))
ODD = st.one_of(
    st.sampled_from(
        [None, True, -1, 0, 10**400, 1e308, float("inf"), float("nan"), "", "\x00", [], {}, [None], {"": 0}]
    ),
    st.text(max_size=5),
    st.dictionaries(st.text(max_size=3) | st.integers(), st.none(), max_size=2),
)


@given(place=st.sampled_from(PLACES), how=st.sampled_from(["delete", "replace", "add"]), odd=ODD)
@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_no_change_of_a_valid_file_ends_in_a_traceback(tmp_path: Path, place: Any, how: str, odd: Any) -> None:
    document = copy.deepcopy(valid())
    parent: Any = document
    for key in place[:-1]:
        parent = parent[key]
    if how == "delete":
        del parent[place[-1]]
    elif how == "replace":
        parent[place[-1]] = odd
    elif isinstance(parent, dict):
        parent["surprise"] = odd
    else:
        parent.append(odd)
    path = write(tmp_path / "changed.yaml", document)
    outcome = loaded(path)
    if isinstance(outcome, InputError):
        assert {str(mistake.file) for mistake in outcome.mistakes} == {str(path)}
    else:
        assert isinstance(outcome, Experiment)


def loaded(path: Path) -> Experiment | InputError:
    try:
        return load_experiments([path], SPEC)[0]
    except InputError as error:
        return error


def test_every_shipped_experiment_fits_the_shipped_stack() -> None:
    spec = load_stack(ROOT / "fixtures" / "stack").spec
    files = sorted((ROOT / "experiments").glob("*.yaml"))
    assert [each.name for each in load_experiments([ROOT / "experiments"], spec)] == [path.stem for path in files]
    assert len(files) >= 5


@pytest.mark.e2e
def test_chaos_toolkits_own_command_accepts_every_shipped_experiment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from chaostoolkit.cli import cli
    from click.testing import CliRunner

    monkeypatch.chdir(tmp_path)
    for path in sorted((ROOT / "experiments").glob("*.yaml")):
        done = CliRunner().invoke(cli, ["--no-version-check", "validate", str(path)])
        assert done.exit_code == 0, f"{path.name}: {done.output}"
    refused = CliRunner().invoke(cli, ["--no-version-check", "validate", str(write(tmp_path / "bad.yaml", {"a": 1}))])
    assert refused.exit_code == 1
