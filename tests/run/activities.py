"""What the tests' experiments call: each notes that it ran, and does as its name says."""

from __future__ import annotations

import os
import signal
from typing import Any

CALLS: list[str] = []
HANDLERS: list[Any] = []


def note(text: str) -> str:
    CALLS.append(text)
    return text


def look_at_signals() -> str:
    HANDLERS.extend(signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
    return note("looked")


def fail() -> None:
    note("fail")
    raise RuntimeError("the pod is not there")


def interrupt() -> None:
    note("interrupt")
    raise KeyboardInterrupt("SIGINT")


def terminate() -> str:
    """SIGTERM to this very process, whose handler is to remember it."""
    os.kill(os.getpid(), signal.SIGTERM)
    return note("terminated")
