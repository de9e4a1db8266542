"""Who may import whom: the structure in DESIGN terms, held by a test."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "harness"
LEAVES = {"model", "spec", "errors", "clock", "latencies", "strict_yaml"}
# For each part, the parts of the harness it may import beside itself. A part not named here may import anything.
ALLOWED: dict[str, set[str]] = {
    "model": set(),
    "spec": set(),
    "errors": set(),
    "clock": set(),
    "latencies": set(),
    "strict_yaml": set(),
    "direct": set(),
    "gpu": set(),
    "system": {"gpu"},
    "checks": LEAVES,
    "report": LEAVES,
    "stack": LEAVES,
    "skeleton": {*LEAVES, "stack"},
    "faults": {*LEAVES, "gpu"},
    "load": LEAVES,
    "evidence": {*LEAVES, "direct"},
    "environments": {*LEAVES, "direct", "gpu", "stack"},
}
# What reaches the world outside: forbidden where a verdict or a report is computed.
WORLD = {"socket", "requests", "urllib", "http", "subprocess", "time", "os", "shutil", "threading", "asyncio", "random"}


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide where things come from"
            yield str(node.module)
            if node.module == "harness":
                yield from (f"harness.{alias.name}" for alias in node.names)


def modules(part: str) -> list[Path]:
    folder = PACKAGE / part
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [PACKAGE / f"{part}.py"]


def forbidden(part: str, path: Path) -> list[str]:
    allowed = ALLOWED[part] | {part}
    parts = [name.split(".")[1] for name in imports(path) if name.startswith("harness.")]
    return [name for name in parts if name not in allowed and name != "__version__"]


@pytest.mark.parametrize("part", sorted(ALLOWED))
def test_part_imports_only_what_its_place_allows(part: str) -> None:
    assert modules(part)
    assert {path.name: found for path in modules(part) if (found := forbidden(part, path))} == {}


@pytest.mark.parametrize("part", ["checks", "report"])
def test_verdicts_and_reports_touch_no_network_clock_or_disk(part: str) -> None:
    used = {path.name: {name.split(".")[0] for name in imports(path)} & WORLD for path in modules(part)}
    assert {name: found for name, found in used.items() if found} == {}


def test_a_forbidden_import_is_seen(tmp_path: Path) -> None:
    module = tmp_path / "sneaky.py"
    module.write_text("from harness import stack\nimport harness.run.certify\n", encoding="utf-8")
    assert forbidden("checks", module) == ["stack", "run"]


def test_only_the_command_line_prints_or_exits() -> None:
    printing = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if called in ("print", "sys.exit", "exit", "os._exit"):
                printing.append(path.relative_to(PACKAGE).as_posix())
    programs = ("system/workloads/", "environments/local/service_proxy", "gpu/simulated", "system/models/fit")
    assert [name for name in printing if not name.startswith("cli/") and not name.startswith(programs)] == []
