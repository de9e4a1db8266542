"""A thousand broken files: each is refused with its name, or it loads and can be rendered; nothing else happens."""

from __future__ import annotations

import copy
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from harness.errors import InputError
from harness.run.inputs import read_experiments, read_inputs
from harness.stack import Stack, load_stack, render_alertmanager, render_prometheus

CHECKOUT = Path(__file__).resolve().parents[1]
STACK = CHECKOUT / "fixtures" / "stack"
EXPERIMENTS = sorted((CHECKOUT / "experiments").glob("*.yaml"))
MANIFESTS = sorted(STACK.glob("*.yaml"))
EXAMPLES = 500  # of each of the two tests

# What people and templates really leave in files, beside what nobody would.
ODD: list[Any] = [
    *(None, True, False, 0, -1, 1.5, 10**30, float("nan"), float("inf")),
    *("", " ", "5 minutes", "-5m", "5m5", "1h30m", "0x10", "2026-01-01", "10Zi", "*"),
    *("{{ .Values.x }}", "$(POD_IP)", "rate(x[5m]", "sum by (", "vector(1)"),
    *("\x00", "\u202e", "é" * 300, "../../etc/passwd", "http://[", "a/b:c"),
    *([], {}, [[]], [None], {"a": {"b": "c"}}, {"": 1}, ["x", {"y": []}]),
]
# Copied, since a later step may change what an earlier one put in.
odd = st.sampled_from(ODD).map(copy.deepcopy) | st.text(max_size=8) | st.integers() | st.floats()
RAW = [
    *(b"", b"null", b"42", b"%", b"\xff\xfe", b"\x00", b"\xef\xbb\xbfa: 1", b"--- |\n", b"- - -", b"\t- a"),
    *(b"a: b: c", b"a: [1, 2", b"? {a: b}\n: c", b"a: &a [*a]", b"<<: 1", b"a: 1\na: 2\n", b"a: !foo bar"),
    *(b"!!python/object:os.system {}", b"[" * 5000, b"a: 2026-99-99", b"a: 1_0:99:99.9e"),
]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The key paths of everything in a document."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from places(inner, (*path, key))


def broken(documents: list[Any], draw: st.DataObject) -> list[Any]:
    """The documents with one to three things in them replaced, removed, renamed or added."""
    changed = copy.deepcopy(documents)
    for _ in range(draw.draw(st.integers(1, 3))):
        known = list(places(changed))
        if not known:
            return changed
        path = draw.draw(st.sampled_from(known))
        parent = changed
        for key in path[:-1]:
            parent = parent[key]
        how = draw.draw(st.sampled_from(["replace", "replace", "remove", "rename", "add"]))
        if how == "replace":
            parent[path[-1]] = draw.draw(odd)
        elif how == "remove":
            del parent[path[-1]]
        elif isinstance(parent, dict):
            parent[draw.draw(st.sampled_from(["unknown", "nmae", "Spec", 1, None, True]))] = (
                parent.pop(path[-1]) if how == "rename" else draw.draw(odd)
            )
    return changed


def text_of(source: Path, draw: st.DataObject) -> bytes:
    """A shipped file, broken: in its values, in its bytes, or all of it."""
    how = draw.draw(st.integers(0, 9))
    if how == 0:
        return draw.draw(st.sampled_from(RAW))
    if how == 1:
        whole = source.read_bytes()
        at = draw.draw(st.integers(0, len(whole) - 1))
        return (
            whole[:at] + draw.draw(st.sampled_from([b"", b"\x00", b"\t", b"{", b'"', b"\xff", b": "])) + whole[at + 1 :]
        )
    documents = list(yaml.safe_load_all(source.read_text(encoding="utf-8")))
    return yaml.safe_dump_all(broken(documents, draw), allow_unicode=True).encode("utf-8", "surrogatepass")


def is_named(error: InputError, path: Path) -> bool:
    """Whether every mistake speaks in one line of this file, or of the directory it is in."""
    lines = [str(mistake) for mistake in error.mistakes]
    return bool(lines) and all("\n" not in line and str(path.parent) in line for line in lines)


quick = settings(
    max_examples=EXAMPLES,
    phases=(Phase.explicit, Phase.generate),  # shrinking a failure would take longer than reading it
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)
SHIPPED = load_stack(STACK)


@quick
@given(st.data())
def test_a_broken_experiment_is_named_or_loads(draw: st.DataObject) -> None:
    source = draw.draw(st.sampled_from(EXPERIMENTS))
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / source.name
        path.write_bytes(text_of(source, draw))
        try:
            (experiment,) = read_experiments(SHIPPED, [path])
        except InputError as error:
            named, said = is_named(error, path), str(error)
        else:
            named, said = experiment.name == path.stem, experiment.name
    assert named, said


@quick
@given(st.data())
def test_a_broken_manifest_is_named_or_renders(draw: st.DataObject) -> None:
    source = draw.draw(st.sampled_from(MANIFESTS))
    with tempfile.TemporaryDirectory() as directory:
        path = Path(shutil.copytree(STACK, Path(directory) / "stack")) / source.name
        path.write_bytes(text_of(source, draw))
        try:
            stack, _ = read_inputs([path.parent], ())
        except InputError as error:
            named, said = is_named(error, path), str(error)
        else:
            render(stack)
            named, said = True, ""
    assert named, said


def render(stack: Stack) -> None:
    """What loads can be rendered at any time scale."""
    for time_scale in (1.0, 60.0):
        render_prometheus(stack, [], time_scale=time_scale)
        render_alertmanager(stack, time_scale=time_scale, capture_url="http://127.0.0.1:1/captured", host_addresses={})
