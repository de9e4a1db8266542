"""One full certification of the shipped stack, with what it takes of time, processor and memory."""

from __future__ import annotations

import json
import subprocess
import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from benchmarks.command import HARNESS
from benchmarks.figure import Figure
from benchmarks.readiness import READY_S
from harness.clock import parse_duration
from harness.run.judgement import Inputs

DURATION_S = 300.0
DURATION_RATIO = 2.0
OWN_CPU_RATIO = 0.15
MEMORY_MIB = 700.0
BASELINE_S = 300.0  # spec time, as in harness/run/live.py

# A check that waits for one stage of an alert's life ends with one of these, in the order of the stages.
_STAGES = ("pending", "firing", "notified", "resolved", "resolution notified", "missed", "back", "muted")
_NOTICES = ("notified", "resolution notified")
# What the harness runs for itself beside its own process; the sandbox's bwrap processes too.
_OWN_MODULES = ("supervisor.supervisord", "harness.environments.local.service_proxy")
_LOOK_EVERY_S = 1.0
_TIMEOUT_S = 900.0


@dataclass(slots=True)
class Usage:
    """What the processes below a certification took, looked at once a second.

    ``own_cpu_s`` and ``load_cpu_s``: processor seconds since the look before, of those that were there at both.
    ``memory_mib``: the sum of every process's proportional set size (PSS), in which a page that several share is
    counted once; their RSS would count it each time.
    """

    looked_at_s: list[float] = field(default_factory=list)
    own_cpu_s: list[float] = field(default_factory=list)
    load_cpu_s: list[float] = field(default_factory=list)
    memory_mib: list[float] = field(default_factory=list)
    last_cpu_s: dict[psutil.Process, float] = field(default_factory=dict)


def measure(directory: Path, *, experiments: Iterable[Path] = ()) -> list[Figure]:
    """Its duration, its notifications, and its processes. Raises RuntimeError when the verdict is not PASS.

    ``experiments``: files to run instead of all that are shipped.
    """
    run_dir = directory / "certification"
    chosen = [argument for path in experiments for argument in ("--experiments", str(path))]
    begun_s = time.monotonic()
    with subprocess.Popen(
        [HARNESS, "certify", "--report", run_dir, *chosen], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            usage = _watch(process)
        finally:
            process.terminate()
        said = process.stdout.read() if process.stdout else ""
    duration_s = time.monotonic() - begun_s
    if process.returncode != 0:
        raise RuntimeError(f"harness certify ended with {process.returncode}; it said:\n{said[-4000:]}")
    result = json.loads((run_dir / "result.json").read_text(encoding="utf-8"))
    bounds_s = sum_of_bounds_s(result, Inputs.load(run_dir))
    return [
        Figure("full certification", duration_s, DURATION_S, "s", f"PASS, experiments: {len(result['experiments'])}"),
        Figure(
            "full certification ÷ sum of its bounds",
            duration_s / bounds_s,
            DURATION_RATIO,
            "",
            f"the bounds add up to {bounds_s:.0f} s",
        ),
        *_notifications(result),
        *_usage(usage, result),
    ]


def sum_of_bounds_s(result: Mapping[str, Any], inputs: Inputs) -> float:
    """The time a run may take if everything it waits for comes at the last moment allowed, in real seconds.

    The stack's start, the baseline, and of each experiment: the times it holds by its own file, and the stages of the
    alert whose whole life may take longest. What follows a fault besides (undo, settling, looking back) is not in it.
    """
    total_s = READY_S + BASELINE_S / inputs.time_scale
    for experiment in inputs.experiments:
        chains: defaultdict[str, dict[str, float]] = defaultdict(dict)
        for check in result["results"]:
            alert, _, stage = check["check"].rpartition(": ")
            if check["experiment"] == experiment.name and check["limit"] is not None and stage in _STAGES:
                chains[alert][stage] = check["limit"]
        total_s += max((sum(limits.values()) for limits in chains.values()), default=0.0)
        total_s += sum(_holds_s(experiment.document)) / inputs.time_scale
    return total_s


def _holds_s(document: Mapping[str, Any]) -> Iterable[float]:
    for activity in document["method"]:
        at_least = activity["provider"].get("arguments", {}).get("at_least")
        if at_least is not None:
            yield parse_duration(at_least)


def _notifications(result: Mapping[str, Any]) -> list[Figure]:
    """The notification that came closest to its limit, which is its bound and 10 % of it or 1 s."""
    seen = [
        (check["measured"] / check["limit"], check)
        for check in result["results"]
        if check["check"].rpartition(": ")[2] in _NOTICES and None not in (check["measured"], check["limit"])
    ]
    if not seen:
        return [Figure("notification, bound and 10 % or 1 s", None, 1.0, "s", "no notification")]
    _, worst = max(seen, key=lambda each: each[0])
    how = f"closest of {len(seen)} to its limit: {worst['check']} in {worst['experiment']}"
    return [Figure("notification, bound and 10 % or 1 s", worst["measured"], worst["limit"], "s", how)]


def _watch(process: subprocess.Popen[str]) -> Usage:
    usage = Usage()
    harness = psutil.Process(process.pid)
    deadline_s = time.monotonic() + _TIMEOUT_S
    while process.poll() is None:
        if time.monotonic() > deadline_s:
            raise RuntimeError(f"harness certify still runs after {_TIMEOUT_S:g} s")
        with suppress(psutil.Error):
            _look(harness, usage)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_LOOK_EVERY_S)
    return usage


def _look(harness: psutil.Process, usage: Usage) -> None:
    own_s, load_s, memory_bytes = 0.0, 0.0, 0
    for process in (harness, *harness.children(recursive=True)):
        with suppress(psutil.Error):  # it has just ended
            times, command = process.cpu_times(), process.cmdline()
            now_cpu_s = times.user + times.system
            taken_s = now_cpu_s - usage.last_cpu_s.get(process, now_cpu_s)
            usage.last_cpu_s[process] = now_cpu_s
            if process.pid == harness.pid or process.name() == "bwrap" or set(_OWN_MODULES) & set(command):
                own_s += taken_s
            elif "locust" in command:
                load_s += taken_s
            memory_bytes += process.memory_full_info().pss
    usage.looked_at_s.append(time.monotonic())
    usage.own_cpu_s.append(own_s)
    usage.load_cpu_s.append(load_s)
    usage.memory_mib.append(memory_bytes / 2**20)


def _usage(usage: Usage, result: Mapping[str, Any]) -> list[Figure]:
    """Processor and memory. From the first experiment on the harness mostly waits; what else it does counts too."""
    (baseline_end_s,) = (phase["end_s"] for phase in result["phases"] if phase["name"] == "baseline")
    begun_s = usage.looked_at_s[0] + baseline_end_s
    first = bisect_right(usage.looked_at_s, begun_s)
    took_s = usage.looked_at_s[-1] - usage.looked_at_s[first]
    own, load = (sum(taken_s[first + 1 :]) / took_s for taken_s in (usage.own_cpu_s, usage.load_cpu_s))
    return [
        Figure(
            "harness's own processes",
            own,
            OWN_CPU_RATIO,
            "core",
            f"harness, supervisor, service proxy, sandboxes; beside them the load generator {load:.3f}",
        ),
        Figure(
            "whole local environment",
            max(usage.memory_mib),
            MEMORY_MIB,
            "MiB",
            "highest sum of PSS, harness and load included",
        ),
    ]
