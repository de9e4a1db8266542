"""The load generator against a queue whose waiting times are known, and its punctuality at a high rate.

The queue: open arrivals, a server that works on all of them at once, takes ``SERVICE_S`` for each (M/D/∞) and stands
still once for ``STALL_S``. Who arrives in the stall waits for its end; so the true waiting times follow from the
planned arrivals and the server's own record of the stall.
"""

from __future__ import annotations

import asyncio
import json
import math
import subprocess
import sys
import time
from itertools import takewhile
from pathlib import Path
from typing import Any

from benchmarks.figure import Figure
from harness.latencies import Latencies
from harness.load.arrivals import planned_offsets
from harness.load.locust_run import LOCUSTFILE
from tests.load.load_service import Service

SERVICE_S = 0.02
STALL_S = 3.0
P95_ERROR = 0.05
LAG_S = 0.002
_STALL_BEGINS_S = 4.0
_STALLED_RATE, _STALLED_RUN_S = 200.0, 12.0
_BUSY_RATE, _BUSY_RUN_S = 2000.0, 10.0
_SEED = 1


def measure(directory: Path) -> list[Figure]:
    """How far p95 is from the true one, as a share of it, and how late requests are begun at 2,000 a second."""
    measured_s, true_s = stalled_p95_s(directory)
    how = f"p95 {measured_s:.3f} s, true {true_s:.3f} s, {_STALLED_RATE:g}/s for {_STALLED_RUN_S:g} s"
    off = Figure(f"load: p95 over a {STALL_S:g} s stall, off by", abs(measured_s / true_s - 1), P95_ERROR, "of it", how)
    lag_s, rate = dispatch_lag_p99_s(directory)
    how = f"{rate:.0f} requests/s begun for {_BUSY_RUN_S:g} s, all in one window"
    return [off, Figure("load: dispatch lag p99 at 2,000/s", lag_s * 1000, LAG_S * 1000, "ms", how)]


def stalled_p95_s(directory: Path) -> tuple[float, float]:
    """p95 as the load generator says it, and as it was."""
    stall: list[float] = []

    async def answer(_number: int, _body: bytes) -> int:
        now_s = time.time()
        if not stall:
            stall.extend((now_s + _STALL_BEGINS_S, now_s + _STALL_BEGINS_S + STALL_S))
        begun_s, over_s = stall
        await asyncio.sleep(SERVICE_S + (over_s - now_s if begun_s <= now_s < over_s else 0.0))
        return 200

    with Service(answer) as service:
        window = _run(service.url, directory / "stalled.jsonl", rate=_STALLED_RATE, run_s=_STALLED_RUN_S)
    measured_s = Latencies.from_json(window["latency_buckets"]).quantile(0.95)
    if measured_s is None:
        raise RuntimeError(f"the load generator measured nothing: {window}")
    return measured_s, true_p95_s(window["from_unix_s"], *stall)


def dispatch_lag_p99_s(directory: Path) -> tuple[float, float]:
    """The 99th percentile of how late requests were begun, and how many were begun a second."""

    async def answer(_number: int, _body: bytes) -> int:
        return 200

    with Service(answer) as service:
        window = _run(service.url, directory / "busy.jsonl", rate=_BUSY_RATE, run_s=_BUSY_RUN_S)
    if window["errors"]:
        raise RuntimeError(f"requests failed: {window['reasons']}")
    return float(window["lag_p99_s"]), window["requests"] / _BUSY_RUN_S


def true_p95_s(begin_unix_s: float, stall_begins_unix_s: float, stall_ends_unix_s: float) -> float:
    """p95 of all planned arrivals of a load begun at this instant, if the server stalls between the other two."""
    offsets = planned_offsets(rate=_STALLED_RATE, arrivals="poisson", seed=_SEED)
    arrivals = [begin_unix_s + offset for offset in takewhile(lambda offset: offset < _STALLED_RUN_S, offsets)]
    waits_s = sorted(
        SERVICE_S + (stall_ends_unix_s - at if stall_begins_unix_s <= at < stall_ends_unix_s else 0.0)
        for at in arrivals
    )
    return waits_s[math.ceil(0.95 * len(waits_s)) - 1]


def _run(url: str, windows: Path, *, rate: float, run_s: float) -> dict[str, Any]:
    """The one window that holds the whole run."""
    subprocess.run(
        [
            *(sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--headless", "--only-summary"),
            *(f"--host={url}", f"--rate={rate:g}", f"-t{run_s:g}s", f"--seed={_SEED}"),
            *("--window=60", f"--window-file={windows}"),
        ],
        cwd=windows.parent,
        check=True,
        capture_output=True,
        timeout=run_s + 30,
    )
    (line,) = windows.read_text(encoding="utf-8").splitlines()
    window: dict[str, Any] = json.loads(line)
    return window
