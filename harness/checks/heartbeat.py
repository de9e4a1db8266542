"""A heartbeat that falls silent: what somebody outside, who only waits for its notifications, can tell and when."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from harness.checks.bounds import with_allowance
from harness.checks.window import Window, finite
from harness.model import CheckResult, Event, Expectation, Verdict
from harness.spec import Spec

# Prometheus tells Alertmanager that an alert ends after four of the longer of its evaluation interval and its resend
# delay, should it not tell again (rules/manager.go, EndsAt); until then Alertmanager repeats it.
_EXPIRES_AFTER = 4
# A Prometheus that starts reads its data back, and learns of its Alertmanagers when a throttle of 5 s, fixed in its
# source (discovery/manager.go), is over; real time.
_RESTART_S = 8.0


@dataclass(frozen=True, slots=True)
class HeartbeatBounds:
    """Real seconds. ``patience_s``: no heartbeat for this long is a missed one. ``missed_s``: fault's effect → missed.

    ``back_s``: the fault is gone → the next heartbeat.
    """

    receiver: str
    patience_s: float
    missed_s: float
    back_s: float


def heartbeat_bounds(expectation: Expectation, spec: Spec, *, time_scale: float) -> HeartbeatBounds | None:
    """The bounds of a heartbeat on the way to its receiver; None when no route leads there.

    Alertmanager repeats when the repeat interval is over at one of its group intervals: beats are up to the sum apart.
    """
    alert, wanted = str(expectation.params["alert"]), expectation.params.get("receiver")
    for rule in spec.alert(alert):
        labels = {**spec.external_labels, **rule.labels, "alertname": alert}
        for route in spec.route.resolve(labels) if spec.route is not None else ():
            if wanted is None or route.receiver == wanted or route.receiver.endswith(f"/{wanted}"):
                period_s = route.repeat_interval_s + route.group_interval_s
                expiry_s = _EXPIRES_AFTER * max(rule.evaluation_interval_s, spec.resend_delay_s)
                wait_s = 2 * rule.evaluation_interval_s + max(route.group_wait_s, route.group_interval_s)
                return HeartbeatBounds(
                    receiver=route.receiver,
                    patience_s=with_allowance(period_s / time_scale),
                    missed_s=with_allowance((expiry_s + period_s) / time_scale) + with_allowance(0.0),
                    back_s=with_allowance((rule.for_s + wait_s) / time_scale) + _RESTART_S,
                )
    return None


def missed_at_s(
    events: Iterable[Event], alert: str, bounds: HeartbeatBounds, *, since_s: float, until_s: float
) -> float:
    """When somebody outside could first tell after ``since_s``: told that the heartbeat ended, or without one for too
    long; infinity while neither is so by ``until_s``."""
    beats, ends = _arrivals(events, alert, bounds.receiver)
    told_s = min((at_s for at_s, _ in ends if at_s >= since_s), default=math.inf)
    last_s = max((at_s for at_s, _ in beats if at_s < since_s), default=since_s)
    for at_s in [*(at_s for at_s, _ in beats if at_s >= since_s), math.inf]:
        if min(at_s, until_s) - last_s > bounds.patience_s:
            told_s = min(told_s, last_s + bounds.patience_s)
            break
        last_s = at_s
    return told_s if told_s <= until_s else math.inf


def first_after(
    events: Iterable[Event], alert: str, bounds: HeartbeatBounds, *, effect_s: float, gone_s: float
) -> Event | None:
    """The first heartbeat that shows its source alive again after the fault was gone; None while there is none.

    One whose alert began before the fault is an echo: of several Alertmanagers one may send it late.
    """
    for event in events:
        if event.kind == "notice" and event.name == bounds.receiver and event.data["alertname"] == alert:
            at_s, began_s = finite(event.data.get("arrived_s")), finite(event.data.get("starts_at_s"))
            alive = at_s is not None and at_s >= gone_s and (began_s is None or began_s >= effect_s)
            if alive and event.data["status"] == "firing":
                return event
    return None


def check_silence(expectation: Expectation, window: Window, spec: Spec, *, time_scale: float) -> Iterator[CheckResult]:
    """That the heartbeat arrived before the fault, was missed in time while it was in, and came back in time."""
    case = _Case(str(expectation.params["alert"]), window)
    bounds = heartbeat_bounds(expectation, spec, time_scale=time_scale)
    if bounds is None:
        yield case.result("missed", Verdict.FAIL, None, None, "no route of the stack leads to its receiver", ())
        return
    injecting, effects = window.faults("injecting"), window.faults("effect")
    gone = window.faults("cleared") or window.faults("undone")
    blind = list(window.of_kind("gap", "receiver"))
    if not effects or blind:
        why = "the receiver could not be read for a while" if blind else "no fault's effect was seen"
        evidence = tuple(event.seq for event in blind[:1])
        yield case.result("missed", Verdict.UNKNOWN, None, bounds.missed_s, f"{why}: silence proves nothing", evidence)
        return
    yield case.beating(bounds, injecting[0] if injecting else effects[0])
    yield case.missed(bounds, effects[0], gone[-1].t_s if gone else window.end_s)
    if gone:
        yield case.back(bounds, effects[0], gone[-1])


@dataclass(frozen=True, slots=True)
class _Case:
    alert: str
    window: Window

    def beating(self, bounds: HeartbeatBounds, injecting: Event) -> CheckResult:
        beats, _ = _arrivals(self.window.events, self.alert, bounds.receiver)
        before = [(at_s, seq) for at_s, seq in beats if at_s <= injecting.t_s]
        if not before:
            summary = f"no heartbeat had ever arrived at {bounds.receiver}"
            return self.result("arriving before", Verdict.FAIL, None, bounds.patience_s, summary, (injecting.seq,))
        at_s, seq = before[-1]
        age_s = injecting.t_s - at_s
        verdict = Verdict.PASS if age_s <= bounds.patience_s else Verdict.FAIL
        summary = f"the last one arrived at {bounds.receiver} {age_s:.2f} s before the fault"
        return self.result("arriving before", verdict, age_s, bounds.patience_s, summary, (seq, injecting.seq))

    def missed(self, bounds: HeartbeatBounds, effect: Event, until_s: float) -> CheckResult:
        at_s = missed_at_s(self.window.events, self.alert, bounds, since_s=effect.t_s, until_s=until_s)
        beats, ends = _arrivals(self.window.events, self.alert, bounds.receiver)
        if not math.isfinite(at_s):
            still = tuple(seq for beat_s, seq in beats if effect.t_s <= beat_s <= until_s)
            summary = f"nobody at {bounds.receiver} could tell: {len(still)} more arrived while the fault was in"
            return self.result("missed", Verdict.FAIL, None, bounds.missed_s, summary, (effect.seq, *still[-5:]))
        took_s = at_s - effect.t_s
        end = next(((seq,) for end_s, seq in ends if end_s == at_s), ())
        last = tuple(seq for beat_s, seq in beats if beat_s <= at_s)[-1:]
        how = "its end was told" if end else f"none came for {bounds.patience_s:.2f} s"
        verdict = Verdict.PASS if took_s <= bounds.missed_s else Verdict.FAIL
        summary = f"{how} at {bounds.receiver}, {took_s:.2f} s after the fault's effect was seen"
        return self.result("missed", verdict, took_s, bounds.missed_s, summary, (effect.seq, *last, *end))

    def back(self, bounds: HeartbeatBounds, effect: Event, gone: Event) -> CheckResult:
        seen = list(self.window.of_kind("notice"))
        found = first_after(seen, self.alert, bounds, effect_s=effect.t_s, gone_s=gone.t_s)
        if found is None:
            summary = f"no heartbeat arrived at {bounds.receiver} after the fault was gone"
            return self.result("back", Verdict.FAIL, None, bounds.back_s, summary, (gone.seq,))
        took_s = float(found.data["arrived_s"]) - gone.t_s
        verdict = Verdict.PASS if took_s <= bounds.back_s else Verdict.FAIL
        summary = f"{took_s:.2f} s after the fault was gone, at {bounds.receiver}"
        return self.result("back", verdict, took_s, bounds.back_s, summary, (gone.seq, found.seq))

    def result(
        self,
        stage: str,
        verdict: Verdict,
        measured: float | None,
        limit: float | None,
        summary: str,
        evidence: tuple[int, ...],
    ) -> CheckResult:
        check = f"heartbeat {self.alert}: {stage}"
        rounded = None if measured is None else round(measured, 3)
        return CheckResult(self.window.name, check, verdict, rounded, limit, "s", summary, tuple(sorted(set(evidence))))


Arrivals = Sequence[tuple[float, int]]


def _arrivals(events: Iterable[Event], alert: str, receiver: str) -> tuple[Arrivals, Arrivals]:
    """When the alert's notifications arrived at the receiver, each with its event: that it fires, and that it ended."""
    found: dict[str, list[tuple[float, int]]] = {"firing": [], "resolved": []}
    for event in events:
        if event.kind == "notice" and event.name == receiver and event.data["alertname"] == alert:
            at_s = finite(event.data.get("arrived_s"))
            if at_s is not None and event.data["status"] in found:
                found[event.data["status"]].append((at_s, event.seq))
    return sorted(found["firing"]), sorted(found["resolved"])
