"""What tests get to work with: a live stack, experiments written as Python, and the load's figures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.checks.load import LoadFigures, load_figures
from harness.experiment import experiment_in_code
from harness.model import CheckResult, Experiment, Verdict
from harness.run.interrupt import Interruption
from harness.run.live import LiveRun


class NotProved(AssertionError):
    """Checks of an experiment that are not PASS; UNKNOWN is no pass either."""

    def __init__(self, name: str, results: Sequence[CheckResult]) -> None:
        self.results = tuple(result for result in results if result.verdict is not Verdict.PASS)
        lines = [f"{each.verdict.value:<8}{each.check}: {each.summary}" for each in self.results]
        super().__init__(f"{name}: {len(self.results)} of {len(results)} checks are not PASS\n" + "\n".join(lines))


@dataclass(slots=True)
class Trial:
    """One experiment written as Python. ``results`` is empty until it is over."""

    name: str
    results: tuple[CheckResult, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """The worst of the results; UNKNOWN while there is none."""
        return Verdict.merge(result.verdict for result in self.results)


@dataclass(frozen=True, slots=True)
class Environment:
    """A stack that is up, has load on it and was quiet before the first test.

    ``test``: name and file of the test that runs now; experiments written as Python are named after it.
    """

    live: LiveRun
    interruption: Interruption
    test: Callable[[], tuple[str, Path]]

    @property
    def prometheus(self) -> str:
        """Prometheus's URL."""
        return self.live.running.state.prometheus

    @property
    def alertmanagers(self) -> tuple[str, ...]:
        """The Alertmanagers' URLs."""
        return self.live.running.state.alertmanagers

    @property
    def services(self) -> Mapping[str, str]:
        """``namespace/name:port`` of each Service → ``address:port``."""
        return self.live.running.state.services

    @property
    def time_scale(self) -> float:
        """Spec time ÷ real time."""
        return self.live.options.time_scale

    @property
    def run_dir(self) -> Path:
        """Where the run's record, logs and reports are."""
        return self.live.run_dir

    def run(self, experiment: Experiment) -> tuple[CheckResult, ...]:
        """The results of all checks of an experiment read from a file. A signal ends it by KeyboardInterrupt."""
        self.live.plan(experiment)
        with self.interruption.handled():
            self.live.experiment(experiment)
        return self.live.results(experiment.name)

    @contextmanager
    def experiment(
        self,
        name: str | None = None,
        *,
        expect: Mapping[str, Any],
        allow: Sequence[str] = (),
        must_pass: bool = True,
    ) -> Iterator[Trial]:
        """What the functions of ``harness.chaos`` do inside is one experiment; at the end faults are undone and it is
        judged.

        ``expect`` and ``allow`` say what an experiment file says under these keys. ``name``: the test's own by default.
        Raises NotProved at the end unless every check is PASS or ``must_pass`` is off, InputError for a mistake in what
        is expected.
        """
        test, path = self.test()
        planned = experiment_in_code(
            name or test, path, {"expect": dict(expect), "allow": list(allow)}, self.live.stack.spec
        )
        self.live.plan(planned)
        trial = Trial(planned.name)
        with self.interruption.handled(), self.live.phase(planned):
            yield trial
        trial.results = self.live.results(planned.name)
        if must_pass and trial.verdict is not Verdict.PASS:
            raise NotProved(planned.name, trial.results)


@dataclass(frozen=True, slots=True)
class Load:
    """The load that runs on the stack all the time."""

    environment: Environment
    rate: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rate", self.environment.live.options.load_rate)

    def figures(self, *, last_s: float | None = None) -> LoadFigures:
        """What users felt since the current experiment began, or in the last seconds of real time."""
        live = self.environment.live
        now_s = live.timeline.clock.now_s()
        events = live.timeline.events()
        begun = max((e.t_s for e in events if e.kind == "phase" and e.data["status"] == "begin"), default=0.0)
        live.session.recorder.catch_up(timeout_s=15.0)
        return load_figures(live.timeline.events(), begun if last_s is None else now_s - last_s, now_s)
