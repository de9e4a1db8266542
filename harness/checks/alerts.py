"""An alert's whole life: inactive, pending, firing, delivered where its labels route to, resolved, and that delivered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.checks.bounds import AlertBounds, alert_bounds
from harness.checks.window import AlertHistory, StateChange, Window, alert_histories
from harness.model import AlertSpec, CheckResult, Event, Expectation, Route, Spec, Verdict

# A evaluation's time and a fault's time come from two clocks of one machine; rules are evaluated to the millisecond.
_CLOCK_SLACK_S = 0.05


def check_alert(expectation: Expectation, window: Window, spec: Spec, *, time_scale: float) -> list[CheckResult]:
    """The stages of every instance of the expected alert that fired, or what kept it from firing.

    An alert that did not fire is a FAIL when the record shows that its rule was evaluated, UNKNOWN when it does not.
    """
    life = _Life(expectation, window, spec, time_scale)
    fired = [history for history in life.histories if life.firing(history) is not None]
    if not fired:
        return [life.never_fired()]
    return [result for history in fired for result in life.stages(history)]


def check_quiet(window: Window, spec: Spec, *, expected: Sequence[Expectation], allowed: Sequence[str]) -> CheckResult:
    """That nothing fired but what was expected, what may fire, and heartbeats.

    An alert that was already firing when the window opened says nothing about this experiment: UNKNOWN.
    """
    fine = {str(each.params["alert"]) for each in expected} | set(allowed) | heartbeats(spec)
    before, during = [], []
    for history in alert_histories(window.events):
        if history.name in fine:
            continue
        at_begin = history.state_at(window.begin_s)
        if at_begin is not None and at_begin.state == "firing":
            before.append((history, at_begin))
        firing = history.first("firing", since_s=window.begin_s, until_s=window.end_s)
        if firing is not None:
            during.append((history, firing))
    evidence = tuple(change.seq for _, change in (*during, *before))
    if during:
        return _quiet(window, Verdict.FAIL, len(during), f"fired: {_names(during)}", evidence)
    if before:
        return _quiet(window, Verdict.UNKNOWN, len(before), f"firing since before: {_names(before)}", evidence)
    return _quiet(window, Verdict.PASS, 0, "no other alert fired", ())


def heartbeats(spec: Spec) -> set[str]:
    """The alerts that always fire by design: their expressions read no metric."""
    return {alert.name for alert in spec.alerts if not alert.metrics}


def _quiet(window: Window, verdict: Verdict, count: int, summary: str, evidence: tuple[int, ...]) -> CheckResult:
    return CheckResult(window.name, "nothing else fired", verdict, count, 0, "alerts", summary, evidence)


def _names(found: Sequence[tuple[AlertHistory, StateChange]]) -> str:
    return ", ".join(sorted(f"{history.name}{_labels(history.labels)}" for history, _ in found))


@dataclass(slots=True)
class _Life:
    """One expectation held against one window."""

    expectation: Expectation
    window: Window
    spec: Spec
    time_scale: float

    @property
    def alert(self) -> str:
        return str(self.expectation.params["alert"])

    @property
    def histories(self) -> list[AlertHistory]:
        wanted: Mapping[str, str] = self.expectation.params.get("labels") or {}
        return [
            history
            for history in alert_histories(self.window.events)
            if history.name == self.alert and wanted.items() <= history.labels.items()
        ]

    def firing(self, history: AlertHistory) -> StateChange | None:
        return history.first("firing", since_s=self.window.begin_s, until_s=self.window.end_s)

    def never_fired(self) -> CheckResult:
        rules = self.spec.alert(self.alert)
        evaluated = [
            event for event in self.window.of_kind("evaluation") if event.name in {rule.group for rule in rules}
        ]
        pending = [
            change
            for history in self.histories
            if (change := history.first("pending", since_s=self.window.begin_s, until_s=self.window.end_s)) is not None
        ]
        broken = [event for event in evaluated if event.data["health"] == "err"]
        if not rules:
            summary, verdict = "the stack selects no such rule", Verdict.FAIL
        elif broken:
            summary, verdict = f"its rule cannot be evaluated: {broken[-1].data['error']}", Verdict.FAIL
        elif not evaluated:
            summary, verdict = "did not fire, and nothing shows that its rule was evaluated", Verdict.UNKNOWN
        elif pending:
            summary, verdict = "was pending but did not fire", Verdict.FAIL
        else:
            summary, verdict = "its rule was evaluated but its condition never became true", Verdict.FAIL
        evidence = tuple(change.seq for change in pending) + tuple(event.seq for event in evaluated[-1:])
        return self.result("firing", verdict, None, None, summary, evidence)

    def stages(self, history: AlertHistory) -> Iterator[CheckResult]:
        rules = [rule for rule in self.spec.alert(self.alert) if rule.labels.items() <= history.labels.items()]
        route, wrong = self.route(history)
        if not rules or route is None:
            problem = wrong or "no rule of the stack makes an alert with these labels"
            yield self.result("notified", Verdict.FAIL, None, None, f"{problem} {_labels(history.labels)}", ())
            return
        group_exists = self.group_exists(history, route)
        bounds = alert_bounds(rules[0], route, time_scale=self.time_scale, group_exists=group_exists)
        yield self.inactive_before(history)
        yield from self.becoming(history, rules[0], bounds)
        yield from self.ending(history, route, bounds)

    def route(self, history: AlertHistory) -> tuple[Route | None, str]:
        """Where the labels lead; the receiver that the expectation names must be among those."""
        if self.spec.route is None:
            return None, "the stack has no routes"
        routes = self.spec.route.resolve(history.labels)
        wanted = self.expectation.params.get("receiver")
        if wanted is None:
            return routes[0], ""
        for route in routes:
            if route.receiver == wanted or route.receiver.endswith(f"/{wanted}"):
                return route, ""
        led = ", ".join(route.receiver for route in routes)
        return None, f"its labels route to {led}, not to {wanted}:"

    def group_exists(self, history: AlertHistory, route: Route) -> bool:
        """Whether another alert of the same notification group was firing when this one began to."""
        firing = self.firing(history)
        assert firing is not None and self.spec.route is not None
        # A group stays for a while after its last alert resolved; until then a new one waits for the interval.
        since_s = firing.at_s - 2 * route.group_interval_s / self.time_scale
        for other in alert_histories(self.window.events):
            if other.labels == history.labels or route not in self.spec.route.resolve(other.labels):
                continue
            keys = other.labels if route.group_by == ("...",) else route.group_by
            same_group = all(other.labels.get(key) == history.labels.get(key) for key in keys)
            if same_group and other.fired_within(since_s, firing.at_s):
                return True
        return False

    def inactive_before(self, history: AlertHistory) -> CheckResult:
        injected = self.window.faults("injecting")
        at_s = injected[0].t_s if injected else self.window.begin_s
        before = history.state_at(at_s)
        if before is None or before.state == "inactive":
            return self.result("inactive before", Verdict.PASS, None, None, "inactive when the fault went in", ())
        summary = f"was already {before.state} when the fault went in"
        return self.result("inactive before", Verdict.FAIL, None, None, summary, (before.seq,))

    def becoming(self, history: AlertHistory, rule: AlertSpec, bounds: AlertBounds) -> Iterator[CheckResult]:
        firing = self.firing(history)
        assert firing is not None
        pending = max(
            (each for each in history.changes if each.state == "pending" and each.at_s <= firing.at_s),
            key=lambda each: each.at_s,
            default=None,
        )
        true_s = pending if pending is not None and pending.at_s >= self.window.begin_s else firing
        effects = self.window.faults("effect")
        if effects:
            seen = next((event for event in reversed(effects) if event.t_s <= true_s.at_s), effects[0])
            delay_s = max(0.0, true_s.at_s - seen.t_s)
            evidence = (seen.seq, true_s.seq)
            yield self.within("pending", delay_s, bounds.condition_s, "after the fault's effect was seen", evidence)
        else:
            summary = "no fault's effect was seen, so nothing says when the condition should have become true"
            yield self.result("pending", Verdict.UNKNOWN, None, bounds.condition_s, summary, (true_s.seq,))
        waited_s = firing.at_s - true_s.at_s
        evidence = (true_s.seq, firing.seq)
        if rule.for_s > 0 and pending is None:
            summary = "fired without having been seen pending"
            yield self.result("firing", Verdict.UNKNOWN, None, bounds.firing_s, summary, evidence)
        elif waited_s < bounds.earliest_firing_s - _CLOCK_SLACK_S:
            summary = (
                f"fired {waited_s:.2f} s after its condition became true, its `for` is {bounds.earliest_firing_s:g} s"
            )
            yield self.result("firing", Verdict.FAIL, waited_s, bounds.earliest_firing_s, summary, evidence)
        else:
            yield self.within("firing", waited_s, bounds.firing_s, "after its condition became true", evidence)
        yield self.notified(history, firing, true_s, bounds)

    def notified(
        self, history: AlertHistory, firing: StateChange, true: StateChange, bounds: AlertBounds
    ) -> CheckResult:
        route, _ = self.route(history)
        assert route is not None
        notice = self.notice(history, route.receiver, "firing", since_s=firing.at_s)
        limit_s = bounds.notice_s
        if self.expectation.bound_s is not None:
            # An experiment may tighten the whole way from the condition to the receiver.
            limit_s = min(limit_s, self.expectation.bound_s / self.time_scale - (firing.at_s - true.at_s))
        if notice is None:
            elsewhere = [
                event.name
                for event in self.window.of_kind("notice")
                if event.data["labels"] == history.labels and event.data["status"] == "firing"
            ]
            where = f"; it reached {', '.join(sorted(set(elsewhere)))}" if elsewhere else ""
            gaps = tuple(event.seq for event in self.window.of_kind("gap", "receiver"))
            verdict = Verdict.UNKNOWN if gaps else Verdict.FAIL
            summary = f"fired, but nothing arrived at {route.receiver}{where}"
            return self.result("notified", verdict, None, limit_s, summary, (firing.seq, *gaps))
        took_s = float(notice.data["arrived_s"]) - firing.at_s
        return self.within("notified", took_s, limit_s, f"at {route.receiver}", (firing.seq, notice.seq))

    def ending(self, history: AlertHistory, route: Route, bounds: AlertBounds) -> Iterator[CheckResult]:
        gone = self.window.faults("cleared", "undone")
        firing = self.firing(history)
        assert firing is not None
        inactive = history.first("inactive", since_s=firing.at_s, until_s=self.window.end_s)
        if not gone:
            # A fault that passes by itself ends when its effect was seen.
            gone = self.window.faults("effect")
        if inactive is None:
            yield self.result("resolved", Verdict.FAIL, None, bounds.inactive_s, "did not resolve", (firing.seq,))
            return
        over_s = max([event.t_s for event in gone if event.t_s <= inactive.at_s], default=None)
        if over_s is None:
            summary = "resolved while the fault was still in"
            yield self.result("resolved", Verdict.FAIL, None, bounds.inactive_s, summary, (inactive.seq,))
        else:
            evidence = (*(event.seq for event in gone), inactive.seq)
            took_s = inactive.at_s - over_s
            yield self.within("resolved", took_s, bounds.inactive_s, "after the fault was gone", evidence)
        yield self.resolution_notified(history, route, inactive, bounds)

    def resolution_notified(
        self, history: AlertHistory, route: Route, inactive: StateChange, bounds: AlertBounds
    ) -> CheckResult:
        stage = "resolution notified"
        receiver = next((each for each in self.spec.receivers if each.name == route.receiver), None)
        if receiver is not None and receiver.send_resolved is False:
            summary = f"{route.receiver} does not ask for resolutions (send_resolved is off)"
            return self.result(stage, Verdict.FAIL, None, bounds.resolved_notice_s, summary, (inactive.seq,))
        notice = self.notice(history, route.receiver, "resolved", since_s=inactive.at_s - _CLOCK_SLACK_S)
        if notice is None:
            gaps = tuple(event.seq for event in self.window.of_kind("gap", "receiver"))
            verdict = Verdict.UNKNOWN if gaps else Verdict.FAIL
            summary = f"nothing arrived at {route.receiver}"
            return self.result(stage, verdict, None, bounds.resolved_notice_s, summary, (inactive.seq, *gaps))
        took_s = float(notice.data["arrived_s"]) - inactive.at_s
        return self.within(stage, took_s, bounds.resolved_notice_s, f"at {route.receiver}", (inactive.seq, notice.seq))

    def notice(self, history: AlertHistory, receiver: str, status: str, *, since_s: float) -> Event | None:
        return next(
            (
                event
                for event in self.window.of_kind("notice", receiver)
                if event.data["status"] == status
                and event.data["labels"] == history.labels
                and float(event.data["arrived_s"]) >= since_s - _CLOCK_SLACK_S
            ),
            None,
        )

    def within(self, stage: str, took_s: float, limit_s: float, what: str, evidence: tuple[int, ...]) -> CheckResult:
        verdict = Verdict.PASS if took_s <= limit_s else Verdict.FAIL
        late = "" if verdict is Verdict.PASS else ", too late"
        return self.result(stage, verdict, took_s, limit_s, f"{took_s:.2f} s {what}{late}", evidence)

    def result(
        self,
        stage: str,
        verdict: Verdict,
        measured: float | None,
        limit: float | None,
        summary: str,
        evidence: tuple[int, ...],
    ) -> CheckResult:
        name = f"alert {self.alert}: {stage}"
        rounded = None if measured is None else round(measured, 3)
        return CheckResult(self.window.name, name, verdict, rounded, limit, "s", summary, tuple(sorted(set(evidence))))


def _labels(labels: Mapping[str, str]) -> str:
    shown = {name: value for name, value in labels.items() if name != "alertname"}
    return "{" + ", ".join(f'{name}="{value}"' for name, value in sorted(shown.items())) + "}"
