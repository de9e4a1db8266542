"""What the tests of clusters share: programs that are scripts, and an API server that answers what it was told to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.environments.fake_api import FakeApi
from tests.environments.fake_programs import on_path


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of programs, first on PATH, each of which is asked just what it was told to expect."""
    with on_path(tmp_path / "bin", monkeypatch) as folder:
        yield folder


@pytest.fixture
def api() -> Iterator[FakeApi]:
    """An API server of plain HTTP, each answer of which is asked for."""
    with FakeApi() as api:
        yield api
