"""A stack that is up under load, with its record: experiments run on it one after another and are judged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

from harness.checks import BASELINE, check_phase
from harness.checks.alerts import heartbeats
from harness.clock import RunClock, format_duration
from harness.errors import HarnessError, InputError, Mistake, StackNotReady
from harness.evidence.pods import PodCollector
from harness.evidence.timeline import Timeline
from harness.model import CheckResult, Experiment, RunResult
from harness.run.chaos_toolkit import run_chaos_toolkit
from harness.run.collecting import sample_rules
from harness.run.current import set_current_session
from harness.run.interrupt import Interruption
from harness.run.judgement import TIMELINE_FILE, Inputs, judge
from harness.run.loading import Load, find_target, load_target, make_load
from harness.run.options import Options
from harness.run.placing import make_environment
from harness.run.pressure import Pressure
from harness.run.running import Running
from harness.run.session import Session, open_session
from harness.run.settling import all_up, baseline_s, settle_timeout_s
from harness.run.starting import start_of
from harness.run.suitability import why_unsuitable
from harness.spec import Spec
from harness.stack import Stack

Say = Callable[[str], None]

# After a fault, load is watched at least this long beyond the time an experiment gives it to recover; real time.
_AFTER_S = 2.0
_CATCH_UP_S = 15.0


class LiveRun:
    """One run on one stack. Leaving its ``with`` undoes every fault, ends everything and closes the record.

    ``open`` stands the stack up, ``baseline`` watches it undisturbed, ``experiment`` breaks it. All of them raise
    KeyboardInterrupt once ``interruption`` has seen a signal. Must be used on the main thread.
    """

    def __init__(self, stack: Stack, run_dir: Path, options: Options, *, interruption: Interruption, say: Say) -> None:
        self.stack = stack
        self.run_dir = run_dir
        self.options = options
        self.experiments: tuple[Experiment, ...] = ()
        self._interruption = interruption
        self._say = say
        self._cleanup = ExitStack()
        self._environment = make_environment(
            options.place,
            stack,
            run_dir,
            time_scale=options.time_scale,
            seed=options.seed,
            load_target=load_target(stack, options.load_target),
        )
        self.timeline = Timeline(run_dir / TIMELINE_FILE, RunClock.start())
        self._running: Running | None = None
        self._session: Session | None = None
        self.load: Load | None = None
        self._pressure: Pressure | None = None
        self._cleanup.callback(self.timeline.close)
        self._cleanup.callback(self._record_end)
        self._cleanup.callback(self._environment.down)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._cleanup.close()

    @property
    def running(self) -> Running:
        """The running environment. Raises HarnessError before ``open``."""
        if self._running is None:
            raise HarnessError("the stack is not up")
        return self._running

    @property
    def session(self) -> Session:
        """What the activities of experiments act on. Raises HarnessError before ``open``."""
        if self._session is None:
            raise HarnessError("the stack is not up")
        return self._session

    @property
    def inputs(self) -> Inputs:
        """What this run was given so far."""
        return Inputs(
            run_id=self.run_dir.name,
            environment=self.options.place.environment,
            time_scale=self.options.time_scale,
            seed=self.options.seed,
            stack_path=self.stack.path,
            stack_sha256=self.stack.sha256,
            spec=self.stack.spec,
            experiments=self.experiments,
        )

    def plan(self, *experiments: Experiment) -> None:
        """Adds experiments to what the run has to answer for: one that is then not run is UNKNOWN.

        Raises InputError for a name that the run already has: its results could not be told apart.
        """
        names = {known.name for known in self.experiments}
        twice = [each for each in experiments if each.name in names]
        if twice:
            raise InputError(
                [Mistake(each.path, "", f"the run already has an experiment {each.name}") for each in twice]
            )
        self.experiments += experiments
        self.inputs.save(self.run_dir)

    def judge(self) -> RunResult:
        """The result of what was recorded so far."""
        return judge(self.inputs, self.timeline.events())

    def results(self, phase: str) -> tuple[CheckResult, ...]:
        """The checks of one phase that is over: the baseline, or an experiment by its name."""
        experiment = next((each for each in self.experiments if each.name == phase), None)
        spec, scale = self.stack.spec, self.options.time_scale
        return check_phase(self.timeline.events(), phase, experiment, spec, time_scale=scale)

    def open(self) -> None:
        """Stands the stack up under load. Raises StackNotReady, which is on record, when it does not come up."""
        self.inputs.save(self.run_dir)
        try:
            self._running = self._environment.up(
                timeout_s=self.options.place.ready_within_s, progress=self._say, watch=self._interruption.check
            )
        except StackNotReady as error:
            self.timeline.record("run", "not ready", {"waited_s": error.waited_s, "pods": error.pods})
            raise
        self._pressure = Pressure.begin()
        state = self._running.state
        self._say(f"the stack is ready after {state.ready_s:.1f} s, Prometheus at {state.prometheus}")
        target = self.options.load_target or find_target(self.stack, self._running)
        left_out = [] if target else ["load: no Service with the label app: model-serving and a port named http"]
        said = [*left_out, *self.options.left_out]
        self.timeline.record(
            "run", "started", start_of(self._running, self.stack, run_id=self.run_dir.name, left_out=said)
        )
        collectors: list[Any] = [PodCollector(self._running, self.timeline.record)]
        if target is not None:
            self.load = make_load(
                self._running,
                target,
                rate=self.options.load_rate,
                model_name=self.options.load_model,
                workers=self.options.load_workers,
                run_dir=self.run_dir,
                timeline=self.timeline,
            )
            self._cleanup.callback(self.load.stop)
            self.load.start()
            collectors.append(self.load)
        self._session = open_session(
            self._running, self._spec, self.timeline, extra_collectors=collectors, watch=self._interruption.check
        )
        self._cleanup.callback(self._session.recorder.stop)
        self._cleanup.callback(self._session.injector.heal)
        set_current_session(self._session)
        self._cleanup.callback(set_current_session, None)

    def baseline(self) -> None:
        """Watches the undisturbed stack: nothing may fire, and heartbeats have to arrive."""
        session = self.session
        self._say("settling: first scrapes, first requests")
        session.wait_for(self._settled, settle_timeout_s(self.stack, self.options.time_scale))
        lasts_s = baseline_s(self._spec)
        self._say(f"baseline: for {format_duration(lasts_s)} of the stack's time nothing may fire")
        self.timeline.record("phase", BASELINE, {"status": "begin"})
        session.wait(lasts_s / self.options.time_scale)
        names = heartbeats(self._spec)
        session.wait_for(lambda: all(session.heard(name) for name in names), session.notice_bound_s(names))
        session.recorder.catch_up(timeout_s=_CATCH_UP_S)
        self.timeline.record("phase", BASELINE, {"status": "end"})

    def experiment(self, experiment: Experiment) -> None:
        """Runs a planned experiment, or records why it would prove nothing at this time scale."""
        place, scale = self.options.place.environment, self.options.time_scale
        reason = why_unsuitable(experiment, self._spec, environment=place, time_scale=scale)
        if reason is not None:
            self._say(f"    not run: {reason}")
            self.timeline.record("note", "not run", {"experiment": experiment.name, "reason": reason})
            return
        with self.phase(experiment):
            run_chaos_toolkit(
                experiment.document,
                time_scale=self.options.time_scale,
                interruption=self._interruption,
                failed=self._failed,
                say=lambda activity: self._say(f"    {activity}"),
            )

    @contextmanager
    def phase(self, experiment: Experiment) -> Iterator[None]:
        """The span of one experiment: what is done inside belongs to it. At its end every fault is undone and every
        alert that fired is given its time to resolve, also when what was done inside raised."""
        session = self.session
        problem: BaseException | None
        self.timeline.record("phase", experiment.name, {"status": "begin", "title": experiment.title})
        session.begin(experiment.expectations)
        settled, problem = self._settled(), None
        try:
            try:
                yield
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # noqa: BLE001 - it goes on below, once the stack is whole; so do pytest's
                problem = error
                self._failed(experiment.name, f"{type(error).__name__}: {error}")
            self._end(session, experiment, settled=settled)
        finally:
            interrupted = self._interruption.signal_name is not None
            data = {"status": "end", "title": experiment.title, "interrupted": interrupted}
            self.timeline.record("phase", experiment.name, data)
        if problem is not None:
            raise problem

    def _end(self, session: Session, experiment: Experiment, *, settled: bool) -> None:
        """Undoes what is still in and waits until all that follows from it is over."""
        self._interruption.check()
        for failure in session.injector.heal():  # an experiment without rollbacks leaves its faults to the harness
            self._failed("undo", failure)
        scale, passed_s = self.options.time_scale, self.timeline.clock.now_s() - self._begun_s(experiment)
        recover_s = max((e.bound_s or 0.0 for e in experiment.expectations if e.kind == "load"), default=0.0)
        # No group of rules may stay unevaluated from the experiment's begin to its end: it would have shown nothing.
        unseen_s = self._spec.longest_evaluation_s / scale - passed_s
        self._say("    waiting for it to be over")
        session.drain(at_least_s=max(recover_s / scale, unseen_s) + _AFTER_S)
        if settled:  # Prometheus may have been away; the next experiment needs its eyes
            session.wait_for(self._settled, settle_timeout_s(self.stack, self.options.time_scale))
        session.recorder.catch_up(timeout_s=_CATCH_UP_S)
        looked_at = [str(e.params["alert"]) for e in experiment.expectations if "alert" in e.params]
        sample_rules(self.running, self._spec, self.timeline, alerts=looked_at, from_s=self._begun_s(experiment))

    def _begun_s(self, experiment: Experiment) -> float:
        return max(e.t_s for e in self.timeline.events() if (e.kind, e.name) == ("phase", experiment.name))

    @property
    def _spec(self) -> Spec:
        return self.stack.spec

    def _failed(self, activity: str, error: str) -> None:
        self.timeline.record("note", "activity failed", {"activity": activity, "error": error})

    def _record_end(self) -> None:
        cpu_waited = None if self._pressure is None else self._pressure.share()
        self.timeline.record("run", "ended", {"interrupted": self._interruption.signal_name, "cpu_waited": cpu_waited})

    def _settled(self) -> bool:
        """Whether load flows and Prometheus has found every target up."""
        flowing = self.load is None or self.load.windows > 0
        return flowing and all_up(self.timeline.events())
