"""The locustfile as anybody runs it, by locust's own command."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.load.load_service import Answer, Service

pytestmark = pytest.mark.e2e
LOCUSTFILE = Path(__file__).parents[2] / "loadtests" / "inference.py"


def locust(*options: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    paths = [str(LOCUSTFILE.parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    ours = ("LOCUST_", "HARNESS_")
    variables = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return subprocess.run(
        [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--headless", "--only-summary", *options],
        cwd=cwd,
        env=variables | {"HOME": str(cwd), "PYTHONPATH": os.pathsep.join(paths)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
    )


def test_locusts_own_statistics_agree_with_the_windows(serve: Callable[[Answer], Service], tmp_path: Path) -> None:
    async def fail_every_fifth(number: int, _body: bytes) -> int:
        await asyncio.sleep(0.2)
        return 500 if number % 5 == 4 else 200

    host = f"--host={serve(fail_every_fifth).url}"
    done = locust(host, "-t1s", "--rate=40", "--window-file=windows", "--json", cwd=tmp_path)
    assert done.returncode == 1, "locust's status where requests failed"
    (statistics,) = json.loads(done.stdout)
    windows = read(tmp_path / "windows")
    assert statistics["num_requests"] == sum(window["requests"] for window in windows) > 20
    assert statistics["num_failures"] == sum(window["errors"] for window in windows) > 3
    assert sum(window["unfinished"] for window in windows) == 0, "the last answers were waited for"
    assert statistics["name"] == "/v1/models/[model]/generate"


def test_arrivals_beyond_the_bound_are_errors_and_what_never_ended_is_told(
    serve: Callable[[Answer], Service], tmp_path: Path
) -> None:
    async def never(_number: int, _body: bytes) -> int:
        await asyncio.sleep(3600)
        return 200

    service = serve(never)
    bounds = ("-t1s", "--rate=40", "--max-in-flight=3", "--drain=0.2")
    locust(f"--host={service.url}", *bounds, "--window-file=windows", cwd=tmp_path)
    windows = read(tmp_path / "windows")
    planned = sum(window["planned"] for window in windows)
    assert len(service.bodies) == 3
    assert sum(window["reasons"].get("max_in_flight", 0) for window in windows) == planned - 3 > 20
    assert [window["unfinished"] for window in windows[-2:]] == [0, 3]


def test_a_host_that_is_not_this_machine_gets_nothing(tmp_path: Path) -> None:
    done = locust("--host=http://192.0.2.1", "-t1s", "--window-file=windows", cwd=tmp_path)
    assert done.returncode == 1
    assert "192.0.2.1, which is not this machine" in done.stderr
    assert not (tmp_path / "windows").exists()


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]
