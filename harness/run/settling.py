"""When a stack counts as settled, and for how long it has to stay quiet before anything is broken."""

from __future__ import annotations

from collections.abc import Iterable

from harness.model import Event
from harness.spec import Spec
from harness.stack import Stack

# How long the stack must stay quiet before anything is broken, at least; spec time.
_BASELINE_S = 300.0
# Load has to flow and every target to be scraped before the baseline begins, and after each experiment; real time
# beyond the longest scrape interval.
_SETTLE_TIMEOUT_S = 20.0


def baseline_s(spec: Spec) -> float:
    """How long, in spec time, the stack must stay quiet: long enough that each group of rules is evaluated in it."""
    return max(_BASELINE_S, 2 * spec.longest_evaluation_s)


def settle_timeout_s(stack: Stack, time_scale: float) -> float:
    """How long, in real seconds, every target may take to be scraped."""
    longest_s = max((endpoint.interval_s for endpoint in stack.endpoints), default=0.0)
    return _SETTLE_TIMEOUT_S + longest_s / time_scale


def all_up(events: Iterable[Event]) -> bool:
    """Whether Prometheus has found every target it still knows up."""
    health = {(e.name, e.data["instance"]): e.data["health"] for e in events if e.kind == "target"}
    return set(health.values()) - {"gone"} == {"up"}
