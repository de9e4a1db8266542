"""Which Service of a running stack gets the load, and the load itself."""

from __future__ import annotations

from pathlib import Path

from harness.errors import HarnessError
from harness.evidence.timeline import Timeline
from harness.load.locust_run import LoadPlan, LocustRun
from harness.run.running import Running
from harness.stack import Stack

# Longer than any run: the run ends its load.
_DURATION_S = 6 * 3600.0


def find_target(stack: Stack, environment: Running) -> str | None:
    """The inference Service as ``namespace/service:port``: labelled ``app: model-serving``, its port named ``http``."""
    for service in stack.services:
        if service.labels.get("app") == "model-serving":
            for port in service.ports:
                target = f"{service.namespace}/{service.name}:{port.port}"
                if port.name == "http" and target in environment.state.services:
                    return target
    return None


def start_load(
    environment: Running, target: str, *, rate: float, model_name: str, run_dir: Path, timeline: Timeline
) -> LocustRun:
    """The load, begun. Raises HarnessError when no pod is behind the Service."""
    services = environment.state.services
    if target not in services:
        known = ", ".join(services) or "none"
        raise HarnessError(f"load: no pod is behind the Service {target}; the stack has: {known}")
    plan = LoadPlan(
        base_url=f"http://{services[target]}",
        rate=rate,
        duration_s=_DURATION_S,
        seed=environment.state.seed,
        model_name=model_name,
    )
    load = LocustRun(plan, run_dir=run_dir, clock=timeline.clock, record=timeline.record)
    load.start()
    return load
