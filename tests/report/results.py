"""Results and timelines written by hand for the report's tests, and one whole run to look at."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from harness.latencies import Latencies
from harness.model import CheckResult, Covered, Event, Phase, RunResult, Verdict
from harness.report.outline import STAGES
from harness.spec import AlertSpec, Spec


def check(name: str = "nothing else fired", verdict: Verdict = Verdict.PASS, **changes: Any) -> CheckResult:
    """A check of the experiment ``heat``; any field can be changed."""
    plain = CheckResult("heat", name, verdict, None, None, "", "as it should be", ())
    return dataclasses.replace(plain, **changes)


def result(*checks: CheckResult, **changes: Any) -> RunResult:
    """A run of one experiment, ``heat``, with these checks; the verdict is theirs unless it is given."""
    plain = RunResult(
        run_id="20260401-120000-a1b2",
        verdict=Verdict.merge(one.verdict for one in checks),
        results=checks,
        phases=(Phase("heat", 12.0, 60.0),),
        versions={"prometheus": "2.42.0", "alertmanager": "0.25.0"},
        seed=42,
        time_scale=60.0,
        environment="local",
        gpu="simulated",
        not_exercised=("Grafana's server", "network policy"),
        coverage={
            "alerts": Covered(("DiskFilling",), ("HighGPUTemperature", "TargetDown")),
            "receivers": Covered(("pager", "chat"), ("mail: no alert was seen to arrive",)),
        },
        stack={"path": "fixtures/stack", "sha256": "ab" * 32},
        experiments=(
            {
                "name": "heat",
                "title": "The cooling of a GPU is lost",
                "path": "experiments/heat.yaml",
                "sha256": "cd" * 32,
            },
        ),
    )
    return dataclasses.replace(plain, **changes)


def life(alert: str, experiment: str, *, broken_at: str | None = None, first: int = 0) -> tuple[CheckResult, ...]:
    """An alert's six stages; from ``broken_at`` on it FAILs once and is UNKNOWN after that."""
    checks, verdict = [], Verdict.PASS
    for number, stage in enumerate(STAGES):
        if stage == broken_at:
            verdict = Verdict.FAIL
        elif verdict is Verdict.FAIL:
            verdict = Verdict.UNKNOWN
        checks.append(
            CheckResult(
                experiment,
                f"alert {alert}: {stage}",
                verdict,
                None if number == 0 or verdict is Verdict.UNKNOWN else 1.25 * number,
                None if number == 0 else 3.5 * number,
                "s" if number else "",
                "seen in time" if verdict is Verdict.PASS else f"{stage} was not seen within its bound",
                (first + number,),
            )
        )
    return tuple(checks)


class Record:
    """Collects hand-written events and numbers them."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def add(self, t_s: float, kind: str, name: str, **data: Any) -> int:
        """The number of the event added."""
        seq = len(self.events)
        self.events.append(Event(seq, t_s, 1_760_000_000.0 + t_s, kind, name, data))
        return seq


def spec(*alerts: AlertSpec) -> Spec:
    """A stack's words on these alerts alone."""
    return Spec(alerts=alerts, route=None, receivers=())


def alert_spec(name: str = "HighGPUTemperature", threshold: float = 80.0) -> AlertSpec:
    """One rule."""
    metric = "gpu_temperature_celsius"
    expr = f"{metric} > {threshold:g}"
    return AlertSpec(name, "infrastructure", expr, 120, 0, {}, {}, 0, 30, 30, (metric,), (), metric, threshold)


def heat_record() -> Record:
    """A quiet baseline and an experiment ``heat`` in which one alert lives its whole life and one stays inactive."""
    record = Record()
    record.add(0.0, "run", "started", run_id="r", seed=42)
    record.add(1.0, "rule", "Watchdog", labels={"alertname": "Watchdog"}, state="firing", at_s=0.9)
    record.add(2.0, "phase", "baseline", status="begin")
    for second in range(2, 12):
        _load(record, float(second), slow=False)
    record.add(12.0, "phase", "baseline", status="end")
    record.add(12.0, "phase", "heat", status="begin", title="The cooling of a GPU is lost")
    fault = {"fault": "gpu.cooling-lost", "target": "gpu 0", "experiment": "heat"}
    record.add(13.0, "fault", "gpu.cooling-lost#1", status="injecting", **fault)
    record.add(13.2, "fault", "gpu.cooling-lost#1", status="injected", **fault)
    record.add(15.6, "fault", "gpu.cooling-lost#1", status="effect", observed="91 °C", source="NVML", **fault)
    labels = {"alertname": "HighGPUTemperature", "severity": "critical", "gpu_id": "0"}
    for at_s, state in ((16.0, "pending"), (18.25, "firing")):
        record.add(at_s + 0.2, "rule", "HighGPUTemperature", labels=labels, state=state, at_s=at_s)
    _notice(record, 19.1, "pager", "firing", labels)
    for at_s in (14.0, 34.0, 54.0):
        _notice(record, at_s, "heartbeat", "firing", {"alertname": "Watchdog"})
    record.add(30.0, "fault", "gpu.cooling-lost#1", status="undone", **fault)
    record.add(40.2, "rule", "HighGPUTemperature", labels=labels, state="inactive", at_s=40.0)
    _notice(record, 41.5, "pager", "resolved", labels)
    for second in range(12, 60):
        _load(record, float(second), slow=15 < second < 31)
        heat = 60 + 35 * math.exp(-((second - 28) ** 2) / 80)
        record.add(second + 0.5, "sample", "HighGPUTemperature", at_s=float(second), labels={"gpu_id": "0"}, value=heat)
    record.add(60.0, "phase", "heat", status="end")
    return record


def heat_result() -> RunResult:
    """What the checks say of ``heat_record``, with one alert that never fired beside it."""
    quiet = [
        check("nothing else fired", experiment="baseline", summary="no alert but Watchdog in 10 s", evidence=(2, 13)),
        check("record: complete", experiment="baseline", summary="no gap", evidence=(2, 13)),
    ]
    during = [
        check(
            "fault gpu.cooling-lost: took effect",
            measured=2.4,
            limit=10.0,
            unit="s",
            summary="NVML read 91 °C",
            evidence=(17,),
        ),
        *life("HighGPUTemperature", "heat", first=14),
        *life("GPUThrottled", "heat", broken_at="pending", first=14),
        check("load: p95 during", Verdict.UNKNOWN, limit=2.0, unit="s", summary="no request in the window"),
        check("load: error ratio after", measured=0.0123, limit=0.05, unit="ratio", evidence=(30, 31, 99_999)),
        check("record: complete", summary="no gap longer than one evaluation"),
    ]
    return result(*quiet, *during, phases=(Phase("baseline", 2.0, 12.0), Phase("heat", 12.0, 60.0)))


def _notice(record: Record, at_s: float, receiver: str, status: str, labels: Mapping[str, str]) -> None:
    record.add(
        at_s + 0.1, "notice", receiver, status=status, arrived_s=at_s, alertname=labels["alertname"], labels=labels
    )


def _load(record: Record, from_s: float, *, slow: bool) -> None:
    seconds = [0.08 + 0.002 * number + (1.9 if slow and number > 85 else 0) for number in range(100)]
    buckets = Latencies.from_samples(seconds).to_json()
    errors = 4 if slow else 0
    record.add(
        from_s + 1,
        "load",
        "window",
        from_s=from_s,
        to_s=from_s + 1,
        requests=100,
        errors=errors,
        latency_buckets=buckets,
    )
