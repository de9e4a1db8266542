"""The same certification in a kind cluster: how long until it stands, how long in all, each beside the local one."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

from benchmarks.command import HARNESS
from benchmarks.figure import Figure
from harness import defaults
from harness.environments.images import build_images, load_mapping
from harness.stack import load_stack

READY_S = 120.0
DURATION_S = 720.0
_TIMEOUT_S = 1800.0


def measure(directory: Path) -> list[Figure]:
    """Time to a ready stack, and of the whole certification. Raises RuntimeError when the verdict is not PASS.

    Images are as ``HARNESS_IMAGES`` and ``KIND_NODE_IMAGE`` say, and are built before the clock runs.
    """
    _build_images()
    run_dir = directory / "kind"
    begun_s = time.monotonic()
    done = subprocess.run(
        [HARNESS, "certify", "--environment", "kind", "--report", run_dir],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    duration_s = time.monotonic() - begun_s
    if done.returncode != 0:
        raise RuntimeError(f"harness certify ended with {done.returncode}; it said:\n{done.stdout[-4000:]}")
    result = json.loads((run_dir / "result.json").read_text(encoding="utf-8"))
    ready_s = next(phase["end_s"] for phase in result["phases"] if phase["name"] == "startup")
    local = _local(directory)
    return [
        Figure("kind: cluster and stack ready", ready_s, READY_S, "s", f"images built before; local: {local[0]}"),
        Figure(
            "kind: full certification",
            duration_s,
            DURATION_S,
            "s",
            f"{result['verdict']}, experiments: {len(result['experiments'])}; local: {local[1]}",
        ),
    ]


def _build_images() -> None:
    """Builds what the mapping builds; what is there already is not built again."""
    stack = load_stack(*defaults.stacks("kind"))
    mapping = load_mapping(os.environ.get("HARNESS_IMAGES", "official"))
    build_images(mapping.resolve_all(stack.workloads).values(), progress=lambda text: None)


def _local(directory: Path) -> tuple[str, str]:
    """What the local certification of the same measurement took, where it was one of them."""
    try:
        result = json.loads((directory / "certification" / "result.json").read_text(encoding="utf-8"))
    except OSError:
        return "not measured", "not measured"
    phases = {phase["name"]: phase for phase in result["phases"]}
    last_s = max(phase["end_s"] for phase in result["phases"])
    return f"{phases['startup']['end_s']:.1f} s", f"{last_s:.0f} s"
