"""A live environment under test: faults go in, the harness waits for what is expected, faults come out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from harness.checks.bounds import AlertBounds
from harness.checks.heartbeat import first_after, heartbeat_bounds, missed_at_s
from harness.checks.peers import peers_wait_s
from harness.checks.window import AlertHistory, alert_histories
from harness.clock import DeadlineExceeded, wait_until
from harness.errors import HarnessError
from harness.evidence.recorder import Recorder
from harness.evidence.timeline import Timeline
from harness.faults.injector import Injector
from harness.model import Event, Expectation
from harness.run.awaited import bounds_of, is_over, is_told, remembered, turns_s
from harness.run.collecting import make_recorder
from harness.run.running import Running
from harness.spec import AlertSpec, Spec

_POLL_S = 0.1
# How long after the last bound the harness still looks: what comes too late is worth reporting with its time.
_GRACE_S = 2.0
# An interrupted run looks no longer than this whether an undone fault is gone.
_HURRIED_S = 1.0


class Session:
    """What the activities of an experiment act on. ``watch`` is called while waiting and raises to end the wait."""

    def __init__(
        self,
        *,
        environment: Running,
        spec: Spec,
        timeline: Timeline,
        injector: Injector,
        recorder: Recorder,
        watch: Callable[[], None] = lambda: None,
    ) -> None:
        self.environment = environment
        self.spec = spec
        self.timeline = timeline
        self.injector = injector
        self.recorder = recorder
        self._watch = watch
        self.expected: tuple[Expectation, ...] | None = None
        self.silences: tuple[Expectation, ...] = ()
        self.muted: set[str] = set()
        self._since = 0
        self._since_s = 0.0
        self._histories_of = (0, 0)
        self._known: tuple[AlertHistory, ...] = ()

    @property
    def seed(self) -> int:
        """The run's seed, from which every random choice comes."""
        return self.environment.state.seed

    @property
    def time_scale(self) -> float:
        """Spec time ÷ real time."""
        return self.environment.state.time_scale

    def begin(self, expected: Iterable[Expectation]) -> None:
        """From here on ``hold`` and ``drain`` look for these expectations."""
        expectations = tuple(expected)
        self.expected = tuple(each for each in expectations if each.kind == "alert")
        self.silences = tuple(each for each in expectations if each.kind == "silence")
        self.muted = {str(each.params["alert"]) for each in expectations if each.kind == "muted"}
        self._since = len(self.timeline.events())
        self._since_s = self.timeline.clock.now_s()

    def inject(self, fault: str, **params: Any) -> str:
        """The name of the fault that is now in. Raises HarnessError when it could not be put in."""
        return self.injector.inject(fault, **params)

    def undo(self) -> list[str]:
        """Nothing; all faults are out. Raises HarnessError naming those that could not be undone."""
        failures = self.injector.heal(clear_timeout_s=_HURRIED_S if self._is_hurried() else None)
        if failures:
            raise HarnessError("not undone: " + "; ".join(failures))
        return []

    def _is_hurried(self) -> bool:
        """Whether somebody wants the run to end: then nobody looks long whether an undone fault is gone."""
        try:
            self._watch()
        except KeyboardInterrupt:
            return True
        return False

    def hold(self, *, at_least_s: float, alerts: Sequence[str] | None) -> list[str]:
        """Those of the alerts that were notified; None stands for all that are expected.

        ``at_least_s`` is spec time. Raises HarnessError for an alert the stack does not have, and where nobody has said
        what is expected.
        """
        if alerts is None and self.expected is None:
            raise HarnessError("nobody said which alerts are expected: name them, as in hold: {alerts: [DiskFilling]}")
        expected = {str(each.params["alert"]) for each in self.expected or ()}
        names = sorted(expected if alerts is None else set(alerts))
        unknown = [name for name in names if not self.spec.alert(name)]
        if unknown:
            raise HarnessError(f"the stack selects no rule named {', '.join(unknown)}")
        self.wait(at_least_s / self.time_scale)
        bound_s = self.notice_bound_s(names)
        self.wait_for(lambda: all(self._is_told(name) for name in names), bound_s)
        self._wait_until_remembered(names)
        if alerts is None:
            for silence in self.silences:
                self._wait_until_missed(silence)
            for name in sorted(self.muted):
                self._wait_until_untold(name)
        return [name for name in names if self._is_told(name)]

    def _wait_until_remembered(self, names: Sequence[str]) -> None:
        """Waits until no replica of Alertmanager can make the others forget that they told of these alerts; where one
        has, until they are told of again."""
        wait_s = turns_s(self.spec, time_scale=self.time_scale)

        def are_remembered() -> bool:
            known = [history for history in self._histories() if history.name in names]
            events, now_s = self.timeline.events(), self.timeline.clock.now_s()
            return remembered(known, events, since_s=self._since_s, now_s=now_s, within_s=wait_s)

        self.wait_for(are_remembered, wait_s + self.notice_bound_s(names))

    def _wait_until_missed(self, silence: Expectation) -> None:
        """Waits until somebody outside can tell that a heartbeat stopped, or the bound for that is over."""
        bounds = heartbeat_bounds(silence, self.spec, time_scale=self.time_scale)
        effects = [e for e in self._events() if e.kind == "fault" and e.data["status"] == "effect"]
        if bounds is None or not effects:
            return
        since_s, alert = effects[0].t_s, str(silence.params["alert"])

        def missed() -> bool:
            now_s = self.timeline.clock.now_s()
            return missed_at_s(self.timeline.events(), alert, bounds, since_s=since_s, until_s=now_s) <= now_s

        self.wait_for(missed, bounds.missed_s)

    def _wait_until_untold(self, name: str) -> None:
        """Waits until a muted alert has fired for as long as its notification may take, or its bound is over."""
        bounds = [bound for rule in self.spec.alert(name) for bound in self._bounds(rule)]
        notice_s = max((bound.notice_s for bound in bounds), default=0.0)

        def due() -> bool:
            now_s = self.timeline.clock.now_s()
            lasting = (h.state_at(now_s) for h in self._histories() if h.name == name)
            return any(s is not None and s.state == "firing" and now_s - s.at_s > notice_s for s in lasting)

        self.wait_for(due, self.notice_bound_s([name]))

    def drain(self, *, at_least_s: float) -> None:
        """Waits until every alert that fired has resolved and whoever was told of it was told that, or the bound for it
        is over.

        An alert that counts what happened counts no more of it then: it would add that to what is done next.
        """
        self.wait(at_least_s)
        names = {history.name for history in self._histories() if history.name in self._ordinary()}
        rules = [rule for name in names for rule in self.spec.alert(name)]
        bounds = [bound for rule in rules for bound in self._bounds(rule)]
        bound_s = max((bound.inactive_s + bound.resolved_notice_s for bound in bounds), default=0.0)
        self.wait_for(lambda: all(self._is_over(name) for name in names), bound_s)
        self._wait_until_uncounted(rules)
        for silence in self.silences:
            self._wait_until_back(silence)

    def _wait_until_uncounted(self, rules: Iterable[AlertSpec]) -> None:
        """Waits until the last that a fault did has left the ranges in which these rules count."""
        counted_s = max((rule.counts_over_s + rule.scrape_interval_s for rule in rules), default=0.0)
        done_s = max((event.t_s for event in self._events() if event.kind == "fault"), default=0.0)
        self.wait(max(0.0, done_s + counted_s / self.time_scale - self.timeline.clock.now_s()))

    def _wait_until_back(self, silence: Expectation) -> None:
        """Waits for the first heartbeat after the fault, or until the bound for it is over."""
        bounds = heartbeat_bounds(silence, self.spec, time_scale=self.time_scale)
        effects = [e for e in self._events() if e.kind == "fault" and e.data["status"] == "effect"]
        gone = [e for e in self._events() if e.kind == "fault" and e.data["status"] in ("undone", "cleared")]
        if bounds is None or not effects or not gone:
            return
        alert, effect_s, gone_s = str(silence.params["alert"]), effects[0].t_s, gone[-1].t_s

        def is_back() -> bool:
            return first_after(self._events(), alert, bounds, effect_s=effect_s, gone_s=gone_s) is not None

        self.wait_for(is_back, bounds.back_s)

    def wait(self, real_s: float) -> None:
        """Waits this long, in real seconds."""
        until_s = self.timeline.clock.now_s() + real_s
        self.wait_for(lambda: self.timeline.clock.now_s() >= until_s, real_s + _GRACE_S)

    def heard(self, name: str) -> bool:
        """Whether any receiver has been told of this alert since the run began."""
        return any(event.kind == "notice" and event.data["alertname"] == name for event in self.timeline.events())

    def notice_bound_s(self, names: Iterable[str]) -> float:
        """The latest time, in real seconds, at which all of these alerts have been notified once they are true."""
        rules = [rule for name in names for rule in self.spec.alert(name)]
        return max((bound.whole_s for rule in rules for bound in self._bounds(rule)), default=0.0)

    def wait_for(self, done: Callable[[], bool], timeout_s: float) -> None:
        """Waits until it is done or the time is over; the checks, not the waiting, say what that means."""

        def look() -> bool:
            self._watch()
            self.recorder.check()
            return done()

        try:
            wait_until(look, what="what is expected", timeout_s=timeout_s + _GRACE_S, poll_s=_POLL_S)
        except DeadlineExceeded:
            return

    def _is_told(self, name: str) -> bool:
        return is_told(self._histories(), self._events(), name, muted=name in self.muted)

    def _is_over(self, name: str) -> bool:
        now_s, within_s = self.timeline.clock.now_s(), turns_s(self.spec, time_scale=self.time_scale)
        muted = name in self.muted
        return is_over(self._histories(), self._events(), name, now_s=now_s, within_s=within_s, muted=muted)

    def _histories(self) -> tuple[AlertHistory, ...]:
        """What the alerts did since the experiment began; made anew only where something was recorded since the last
        look, for a wait looks ten times a second."""
        events = self._events()
        if (self._since, len(events)) != self._histories_of:
            self._histories_of, self._known = (self._since, len(events)), alert_histories(events)
        return self._known

    def _events(self) -> tuple[Event, ...]:
        return self.timeline.events(self._since)

    def _bounds(self, rule: AlertSpec) -> list[AlertBounds]:
        wait_s = peers_wait_s(self._events(), self.spec, time_scale=self.time_scale)
        return [bounds.with_wait(wait_s) for bounds in bounds_of(rule, self.spec, time_scale=self.time_scale)]

    def _ordinary(self) -> set[str]:
        return {alert.name for alert in self.spec.alerts if not alert.is_heartbeat}


def open_session(
    environment: Running,
    spec: Spec,
    timeline: Timeline,
    *,
    extra_collectors: Sequence[Any] = (),
    watch: Callable[[], None],
    expected: Iterable[Expectation] | None = None,
) -> Session:
    """A session whose recorder is running.

    With ``expected`` it begins before anything is read, and what people had been told already counts as told.
    """
    recorder = make_recorder(environment, spec, timeline, further=extra_collectors)
    injector = Injector(
        world=environment,
        run_dir=Path(environment.state.run_dir),
        record=timeline.record,
        time_scale=environment.state.time_scale,
        watch=watch,
    )
    session = Session(
        environment=environment, spec=spec, timeline=timeline, injector=injector, recorder=recorder, watch=watch
    )
    if expected is not None:
        session.begin(expected)
    recorder.start()
    return session
