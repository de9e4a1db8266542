from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest

from tests.load.load_service import Answer, Service


@pytest.fixture
def serve() -> Iterator[Callable[[Answer], Service]]:
    """Starts a service; all are stopped at the end of the test."""
    with contextlib.ExitStack() as stack:
        yield lambda answer: stack.enter_context(Service(answer))
