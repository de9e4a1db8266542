"""Timelines by hand: a passing run of one alert, and the moves that spoil it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from harness.checks import check_run
from harness.latencies import Latencies
from harness.model import CheckResult, Event, Expectation, Experiment, Fault, Verdict
from harness.spec import AlertSpec, Matcher, Receiver, Route, Spec

EXPERIMENT = "overheat"
HOT: Mapping[str, str] = {"alertname": "Hot", "severity": "critical", "gpu_id": "0"}
WATCHDOG: Mapping[str, str] = {"alertname": "Watchdog", "severity": "none"}

# One fault at 20–40 s in the window 12–60 s; the alert is pending at 21, fires at 31, is told at 32, over at 41.
BEGIN_S, INJECT_S, EFFECT_S, UNDONE_S, END_S = 12.0, 20.0, 20.5, 40.0, 60.0


class Timeline:
    """Collects events; ``events`` numbers them in the order of their times."""

    def __init__(self) -> None:
        self._raw: list[tuple[float, str, str, dict[str, Any]]] = []

    def add(self, t_s: float, kind: str, name: str, **data: Any) -> Timeline:
        self._raw.append((t_s, kind, name, data))
        return self

    def rule(self, at_s: float, state: str, labels: Mapping[str, str] = HOT) -> Timeline:
        return self.add(at_s + 0.1, "rule", labels["alertname"], labels=dict(labels), state=state, at_s=at_s)

    def notice(
        self, arrived_s: float, status: str, labels: Mapping[str, str] = HOT, receiver: str = "pager"
    ) -> Timeline:
        data = {"labels": dict(labels), "alertname": labels["alertname"], "status": status, "arrived_s": arrived_s}
        return self.add(arrived_s + 0.1, "notice", receiver, **data)

    def fault(self, t_s: float, status: str, name: str = "gpu-cooling-lost#1", **data: Any) -> Timeline:
        return self.add(t_s, "fault", name, status=status, fault=name.partition("#")[0], **data)

    def load(self, from_s: float, *, requests: int = 10, errors: int = 0, latency_s: float = 0.1) -> Timeline:
        buckets = Latencies.from_samples([latency_s] * requests).to_json()
        data = {"from_s": from_s, "to_s": from_s + 1, "requests": requests, "errors": errors}
        return self.add(from_s + 1.1, "load", "window", **data, latency_buckets=buckets)

    def evaluations(self, from_s: float, to_s: float, *, group: str = "gpu", **changed: Any) -> Timeline:
        at_s = from_s
        while at_s < to_s:
            data = {"last_s": at_s, "interval_s": 0.5, "health": "ok", "error": "", **changed}
            self.add(at_s + 0.05, "evaluation", group, **data)
            at_s += 1.0
        return self

    def without(self, which: Callable[[Event], bool]) -> Timeline:
        """The same without these events; at least one must have been there."""
        kept = Timeline()
        events = self.events()
        for event in events:
            if not which(event):
                kept.add(event.t_s, event.kind, event.name, **event.data)
        assert len(kept._raw) < len(events), "nothing was left out"
        return kept

    def without_one(self, kind: str, **data: Any) -> Timeline:
        """The same without the events of this kind whose data holds this."""
        return self.without(lambda event: event.kind == kind and data.items() <= event.data.items())

    def events(self) -> tuple[Event, ...]:
        ordered = sorted(self._raw, key=lambda each: each[0])
        return tuple(
            Event(number, t_s, 1.7e9 + t_s, kind, name, data) for number, (t_s, kind, name, data) in enumerate(ordered)
        )


def passing() -> Timeline:
    """A run of one experiment in which everything is as it should be."""
    timeline = Timeline()
    timeline.add(5.0, "phase", "baseline", status="begin").add(11.0, "phase", "baseline", status="end")
    timeline.add(BEGIN_S, "phase", EXPERIMENT, status="begin").add(END_S, "phase", EXPERIMENT, status="end")
    timeline.rule(2.0, "firing", WATCHDOG).notice(3.0, "firing", WATCHDOG, "heartbeat")
    timeline.add(4.0, "target", "pool", instance="a:1", health="up", error="")
    for group in ("gpu", "always"):
        timeline.evaluations(1.0, END_S, group=group)
    timeline.fault(INJECT_S, "injecting").fault(INJECT_S + 0.1, "injected", undoable=True)
    timeline.fault(EFFECT_S, "effect", observed="86 °C").fault(UNDONE_S, "undone")
    timeline.fault(UNDONE_S + 0.2, "cleared", observed="70 °C")
    timeline.rule(21.0, "pending").rule(31.0, "firing").rule(41.0, "inactive")
    timeline.notice(32.0, "firing").notice(42.0, "resolved")
    for second in range(5, 59):
        timeline.load(float(second))
    return timeline


def alert_spec(name: str = "Hot", **changed: Any) -> AlertSpec:
    """A rule with a ``for`` of 10 s in the group ``gpu``."""
    spec = AlertSpec(
        name=name,
        group="gpu",
        expr="gpu_temperature_celsius > 80",
        for_s=10.0,
        keep_firing_for_s=0.0,
        labels={"severity": "critical"},
        annotations={},
        lookback_s=0.0,
        scrape_interval_s=0.5,
        evaluation_interval_s=0.5,
        metrics=("gpu_temperature_celsius",),
        incompressible=(),
    )
    return replace(spec, **changed)


def route(receiver: str, *matchers: Matcher, routes: Iterable[Route] = (), continues: bool = False) -> Route:
    """A route without waits but for an interval of 5 s."""
    return Route(receiver, ("alertname",), 0.0, 5.0, 3600.0, matchers, continues, tuple(routes))


def spec(*alerts: AlertSpec, routes: Route | None = None, receivers: Iterable[Receiver] | None = None) -> Spec:
    """Two rules, Hot to the pager and the Watchdog to its heartbeat, unless others are given."""
    watchdog = alert_spec(
        "Watchdog", group="always", metrics=(), is_heartbeat=True, for_s=0.0, labels={"severity": "none"}
    )
    tree = route(
        "nobody",
        routes=[
            route("pager", Matcher("severity", "=", "critical")),
            route("chat", Matcher("severity", "=", "warning")),
            route("heartbeat", Matcher("alertname", "=", "Watchdog")),
        ],
    )
    known = [Receiver(name, True, ("webhook",)) for name in ("pager", "chat", "heartbeat")]
    return Spec((*(alerts or (alert_spec(),)), watchdog), routes or tree, tuple(receivers or known))


def expects_hot(**changed: Any) -> Expectation:
    params = {"alert": "Hot", "receiver": None, "labels": {}, **changed}
    bound_s = params.pop("bound_s", None)
    return Expectation("alert", params, bound_s)


def experiment(*expectations: Expectation, allowed: Iterable[str] = (), faults: int = 1) -> Experiment:
    """An experiment of one fault that expects Hot, unless told otherwise."""
    wanted = tuple(Fault(f"f{number}", "gpu-cooling-lost", "gpu 0", None, {}) for number in range(faults))
    expected = expectations or (expects_hot(),)
    return Experiment(EXPERIMENT, "t", "overheat.yaml", "0", wanted, expected, tuple(allowed), {})


class Results:
    """The results of a run, asked by their checks."""

    def __init__(self, results: Iterable[CheckResult]) -> None:
        self.all = tuple(results)

    def of(self, check: str, phase: str = EXPERIMENT) -> CheckResult:
        """The only result of this check."""
        found = [each for each in self.all if each.check == check and each.experiment == phase]
        assert len(found) == 1, f"{check}: {[(each.experiment, each.check) for each in self.all]}"
        return found[0]

    def verdict(self, check: str, phase: str = EXPERIMENT) -> Verdict:
        return self.of(check, phase).verdict

    @property
    def merged(self) -> Verdict:
        return Verdict.merge(each.verdict for each in self.all)


def judged(
    timeline: Timeline, run_spec: Spec | None = None, run_experiment: Experiment | None = None, *, scale: float = 1.0
) -> Results:
    """The checks of the whole run."""
    results = check_run(timeline.events(), [run_experiment or experiment()], run_spec or spec(), time_scale=scale)
    return Results(results)
