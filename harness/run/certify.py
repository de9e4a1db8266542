"""One certification: the stack comes up under load, stays quiet, is broken piece by piece, and is judged."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import __version__
from harness.checks import BASELINE, incompressible_alerts
from harness.checks.alerts import heartbeats
from harness.clock import RunClock
from harness.environments.local.environment import LocalEnvironment
from harness.environments.local.node import LocalNode, NodeState
from harness.errors import HarnessError
from harness.evidence.pods import PodCollector
from harness.evidence.timeline import Timeline
from harness.load.locust_run import LoadPlan, LocustRun
from harness.model import Experiment, RunResult, Spec
from harness.run.chaos_toolkit import run_chaos_toolkit
from harness.run.interrupt import Interruption
from harness.run.judgement import TIMELINE_FILE, Inputs, judge
from harness.run.session import Session, open_session, set_current_session
from harness.run.standing import UP_TIMEOUT_S
from harness.stack import Stack

Say = Callable[[str], None]

# How long the stack must stay quiet before anything is broken; spec time.
_BASELINE_S = 300.0
# Load has to be flowing and every target scraped before the baseline begins; real time.
_SETTLE_TIMEOUT_S = 20.0
# After a fault, load is watched at least this long beyond the time an experiment gives it to recover; real time.
_AFTER_S = 2.0
_CATCH_UP_S = 15.0


@dataclass(frozen=True, slots=True)
class Options:
    """How to run. ``load_target``: ``namespace/service:port`` of the inference service; None: found by its label."""

    time_scale: float
    seed: int
    load_rate: float
    load_target: str | None = None
    load_model: str = "demo-lm"


def certify(
    stack: Stack, experiments: Sequence[Experiment], run_dir: Path, options: Options, *, say: Say
) -> tuple[RunResult, Timeline]:
    """The run's result, and its timeline, already closed.

    Whatever happens on the way, the faults are undone and nothing of the stack is left running. An interrupted run
    gives a result too: what was not run is UNKNOWN. Raises HarnessError when the stack does not come up.
    """
    interruption = Interruption()
    with ExitStack() as cleanup:
        cleanup.enter_context(interruption.handled())
        environment = LocalEnvironment(stack, run_dir, time_scale=options.time_scale, seed=options.seed)
        timeline = Timeline(run_dir / TIMELINE_FILE, RunClock.start())
        cleanup.callback(timeline.close)
        cleanup.callback(environment.down)
        inputs = Inputs(
            run_id=run_dir.name,
            environment=environment.name,
            time_scale=options.time_scale,
            seed=options.seed,
            stack_path=str(stack.root),
            stack_sha256=stack.sha256,
            spec=stack.spec,
            experiments=tuple(experiments),
        )
        inputs.save(run_dir)
        with suppress(KeyboardInterrupt):
            node = environment.up(timeout_s=UP_TIMEOUT_S, progress=say, watch=interruption.check)
            _Run(stack, experiments, run_dir, options, timeline, interruption, say).on(node)
        timeline.record("run", "ended", {"interrupted": interruption.signal_name})
        return judge(inputs, timeline.events()), timeline


class _Run:
    """The phases of one certification on a node that is up."""

    def __init__(
        self,
        stack: Stack,
        experiments: Sequence[Experiment],
        run_dir: Path,
        options: Options,
        timeline: Timeline,
        interruption: Interruption,
        say: Say,
    ) -> None:
        self._stack = stack
        self._experiments = experiments
        self._run_dir = run_dir
        self._options = options
        self._timeline = timeline
        self._interruption = interruption
        self._say = say
        self._not_exercised: list[str] = []

    def on(self, node: LocalNode) -> None:
        """Runs everything; what was begun is ended also when it is interrupted."""
        self._not_exercised += node.state.not_exercised
        self._record_start(node.state)
        self._say(f"the stack is ready after {node.state.ready_s:.1f} s, Prometheus at {node.state.prometheus}")
        with ExitStack() as cleanup:
            load = self._start_load(node)
            collectors: list[Any] = [PodCollector(node, self._timeline.record)]
            if load is not None:
                cleanup.callback(load.stop)
                collectors.append(load)
            session = open_session(
                node, self._spec, self._timeline, extra_collectors=collectors, watch=self._interruption.check
            )
            cleanup.callback(session.recorder.stop)
            cleanup.callback(session.injector.heal)
            set_current_session(session)
            cleanup.callback(set_current_session, None)
            self._baseline(session, load)
            for number, experiment in enumerate(self._experiments, start=1):
                self._say(f"[{number}/{len(self._experiments)}] {experiment.name}: {experiment.title}")
                reason = self._not_at_this_scale(experiment)
                if reason is None:
                    self._experiment(session, experiment)
                else:
                    self._say(f"    not run: {reason}")
                    self._timeline.record("note", "not run", {"experiment": experiment.name, "reason": reason})

    @property
    def _spec(self) -> Spec:
        return self._stack.spec

    def _record_start(self, state: NodeState) -> None:
        for alert in incompressible_alerts(self._spec, time_scale=self._options.time_scale):
            reasons = "; ".join(alert.incompressible)
            self._not_exercised.append(f"alert {alert.name}: needs --time-scale 1, since it {reasons}")
        self._not_exercised += [f"{each}" for each in self._stack.unselected]
        self._timeline.record(
            "run",
            "started",
            {
                "run_id": self._run_dir.name,
                "seed": state.seed,
                "time_scale": state.time_scale,
                "environment": LocalEnvironment.name,
                "gpu": state.gpu,
                "not_exercised": self._not_exercised,
                "versions": {"harness": __version__, "python": platform.python_version(), **state.versions},
                "ready_s": state.ready_s,
            },
        )

    def _start_load(self, node: LocalNode) -> LocustRun | None:
        target = self._options.load_target or _inference_service(self._stack, node.state)
        if target is None:
            self._not_exercised.append("load: no Service with the label app: model-serving and a port named http")
            return None
        address = node.state.services.get(target)
        if address is None:
            known = ", ".join(node.state.services) or "none"
            raise HarnessError(f"load: no pod is behind the Service {target}; the stack has: {known}")
        plan = LoadPlan(
            base_url=f"http://{address}",
            rate=self._options.load_rate,
            duration_s=6 * 3600.0,
            seed=self._options.seed,
            model_name=self._options.load_model,
        )
        load = LocustRun(plan, run_dir=self._run_dir, clock=self._timeline.clock, record=self._timeline.record)
        load.start()
        return load

    def _baseline(self, session: Session, load: LocustRun | None) -> None:
        self._say("settling: first scrapes, first requests")
        session.wait_for(lambda: self._settled(session, load), _SETTLE_TIMEOUT_S)
        self._say("baseline: nothing may fire")
        self._timeline.record("phase", BASELINE, {"status": "begin"})
        session.wait(_BASELINE_S / self._options.time_scale)
        names = heartbeats(self._spec)
        bound_s = session.notice_bound_s(names)
        session.wait_for(lambda: all(session.heard(name) for name in names), bound_s)
        session.recorder.catch_up(timeout_s=_CATCH_UP_S)
        self._timeline.record("phase", BASELINE, {"status": "end"})

    def _settled(self, session: Session, load: LocustRun | None) -> bool:
        """Whether load flows and Prometheus has found every target up."""
        health = {(e.name, e.data["instance"]): e.data["health"] for e in self._timeline.events() if e.kind == "target"}
        flowing = load is None or load.windows > 0
        return flowing and bool(health) and set(health.values()) == {"up"}

    def _not_at_this_scale(self, experiment: Experiment) -> str | None:
        """Why the experiment would prove nothing at this time scale; None when it can be run."""
        expected = {str(each.params["alert"]) for each in experiment.expectations if each.kind == "alert"}
        for alert in incompressible_alerts(self._spec, time_scale=self._options.time_scale):
            if alert.name in expected:
                return f"{alert.name} needs --time-scale 1, since it {'; '.join(alert.incompressible)}"
        return None

    def _experiment(self, session: Session, experiment: Experiment) -> None:
        self._timeline.record("phase", experiment.name, {"status": "begin", "title": experiment.title})
        session.begin(experiment.expectations)

        def failed(activity: str, error: str) -> None:
            self._timeline.record("note", "activity failed", {"activity": activity, "error": error})

        try:
            run_chaos_toolkit(
                experiment.document,
                time_scale=self._options.time_scale,
                interruption=self._interruption,
                failed=failed,
                say=lambda activity: self._say(f"    {activity}"),
            )
            self._interruption.check()
            for failure in session.injector.heal():  # an experiment without rollbacks leaves its faults to the harness
                failed("undo", failure)
            recover_s = max((e.bound_s or 0.0 for e in experiment.expectations if e.kind == "load"), default=0.0)
            self._say("    waiting for it to be over")
            session.drain(at_least_s=recover_s / self._options.time_scale + _AFTER_S)
            session.recorder.catch_up(timeout_s=_CATCH_UP_S)
        finally:
            interrupted = self._interruption.signal_name is not None
            data = {"status": "end", "title": experiment.title, "interrupted": interrupted}
            self._timeline.record("phase", experiment.name, data)


def _inference_service(stack: Stack, state: NodeState) -> str | None:
    for service in stack.services:
        if service.labels.get("app") == "model-serving":
            for port in service.ports:
                target = f"{service.namespace}/{service.name}:{port.port}"
                if port.name == "http" and target in state.services:
                    return target
    return None
