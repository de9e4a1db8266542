"""What users of the service felt while a fault was in, and after."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from harness.checks.window import Window, finite
from harness.latencies import Latencies
from harness.model import CheckResult, Event, Expectation, Verdict


@dataclass(frozen=True, slots=True)
class LoadFigures:
    """What users felt. ``p95_s`` and ``error_ratio`` (0–1) are None where no request was made.

    ``windows``: the events they come from.
    """

    requests: int
    p95_s: float | None
    error_ratio: float | None
    windows: tuple[Event, ...]


def load_figures(events: Iterable[Event], from_s: float, to_s: float) -> LoadFigures:
    """The figures over the load's windows that lie wholly within this span of the run."""
    found = tuple(event for event in events if event.kind == "load" and _inside(event, from_s, to_s))
    requests = sum(int(event.data["requests"]) for event in found)
    errors = sum(int(event.data["errors"]) for event in found)
    latencies = Latencies().merge(*(Latencies.from_json(event.data["latency_buckets"]) for event in found))
    return LoadFigures(requests, latencies.quantile(0.95), errors / requests if requests else None, found)


def check_load(expectation: Expectation, window: Window, *, time_scale: float) -> list[CheckResult]:
    """p95 and error ratio of the requests during the fault or after it, each within its bound where one is set.

    Latencies count from the instant a request was planned. No requests, or no fault seen, is UNKNOWN; so is a bound
    that held only as long as the load generator was heard.
    """
    stage = str(expectation.params["stage"])
    span = _span(stage, expectation, window, time_scale)
    results = []
    for figure, unit in (("p95", "s"), ("error_ratio", "ratio")):
        limit = expectation.params["p95_s" if figure == "p95" else figure]
        if limit is None:
            continue
        check = f"load: {figure.replace('_', ' ')} {stage}"
        if span is None:
            results.append(_unknown(window, check, limit, unit, "the fault's effect was not seen"))
            continue
        felt = load_figures(window.events, *span)
        measured = felt.p95_s if figure == "p95" else felt.error_ratio
        if measured is None:
            results.append(_unknown(window, check, limit, unit, "no requests were made"))
            continue
        silent = [event for event in window.of_kind("gap", "load") if _overlaps(event, *span)]
        verdict = Verdict.FAIL if measured > limit else Verdict.UNKNOWN if silent else Verdict.PASS
        shown = f"{measured:.3f} s" if figure == "p95" else f"{measured:.2%}"
        summary = f"{shown} over {felt.requests} requests from {span[0]:.1f} s to {span[1]:.1f} s of the run"
        if silent:
            summary += f", of which a part was not seen: {silent[0].data.get('error')}"
        # The first and the last say which stretch was read; all of them would drown the reader.
        evidence = (felt.windows[0].seq, felt.windows[-1].seq)
        results.append(CheckResult(window.name, check, verdict, round(measured, 4), limit, unit, summary, evidence))
    return results


def _span(stage: str, expectation: Expectation, window: Window, time_scale: float) -> tuple[float, float] | None:
    effects = window.faults("effect")
    if not effects:
        return None
    gone = window.faults("undone")
    undone_s = gone[-1].t_s if gone else effects[-1].t_s
    if stage == "during":
        return effects[0].t_s, undone_s if gone else window.end_s
    return undone_s + (expectation.bound_s or 0.0) / time_scale, window.end_s


def _inside(event: Event, begin_s: float, end_s: float) -> bool:
    from_s, to_s = finite(event.data.get("from_s")), finite(event.data.get("to_s"))
    return from_s is not None and to_s is not None and from_s >= begin_s and to_s <= end_s


def _overlaps(event: Event, begin_s: float, end_s: float) -> bool:
    """Whether a gap touches the span; one that does not say when it was may."""
    from_s, to_s = finite(event.data.get("from_s")), finite(event.data.get("to_s"))
    return from_s is None or to_s is None or (from_s < end_s and to_s > begin_s)


def _unknown(window: Window, check: str, limit: float, unit: str, summary: str) -> CheckResult:
    return CheckResult(window.name, check, Verdict.UNKNOWN, None, limit, unit, summary, ())
