"""This machine's processes, each told from a later one of the same number."""

from __future__ import annotations

import contextlib
from pathlib import Path

import psutil

from harness.model import ProcessRef


def end_sandbox(pid: int) -> None:
    """Ends everything in the sandbox whose bubblewrap has this number: a PID namespace ends with its first process."""
    with contextlib.suppress(psutil.NoSuchProcess):
        outer = psutil.Process(pid)
        for process in (*outer.children(), outer):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


def process_started(pid: int) -> float | None:
    """When a process began, in clock ticks since boot: tells it from another of the same number. None if it is gone."""
    with contextlib.suppress(OSError, IndexError, ValueError):
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        fields = stat.rpartition(")")[2].split()
        if fields[0] not in ("Z", "X"):
            return float(fields[19])
    return None


def reference(pid: int) -> ProcessRef | None:
    """A process by its number; None when it is gone."""
    started = process_started(pid)
    return None if started is None else ProcessRef(pid, started)


def descendants(pid: int) -> list[ProcessRef]:
    """The processes below one, children before their own; empty when it is gone."""
    with contextlib.suppress(psutil.NoSuchProcess):
        found = [reference(child.pid) for child in psutil.Process(pid).children(recursive=True)]
        return [each for each in found if each is not None]
    return []


def find_process(pid: int) -> psutil.Process | None:
    """A process by its number; None when it is gone."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid)
    return None


def inner_pid(pid: int) -> int | None:
    """Its number in its own PID namespace; None when it is gone."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("NSpid:"):
                return int(line.split()[-1])
    return None
