"""The one run of a pytest session: from the session's options to an environment that tests use, and to its reports."""

from __future__ import annotations

import os
import random
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness import defaults

if TYPE_CHECKING:  # imported once a test asks for the run: they take longer than other sessions may take
    from harness.run.live import LiveRun
    from harness.run.placing import Place
    from harness.run.testing import Environment
    from harness.stack import Stack


class SessionRun:
    """The session's one run: brought up by the first test that needs it. What keeps it from coming up fails each."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._cleanup = ExitStack()
        self._stack: Stack | None = None
        self._environment: Environment | None = None
        self._problem: BaseException | None = None
        self.test: tuple[str, Path] = ("", Path())
        self.verdict: str | None = None
        self.report: Path | None = None

    @property
    def stack(self) -> Stack:
        """The stack's manifests, read once. Raises UsageError with every mistake in them."""
        from harness.errors import InputError
        from harness.run.inputs import read_inputs

        if self._stack is None:
            try:
                name = self._option("--environment")
                stacks = self._option("--stack") or defaults.stacks(name)
                self._stack, _ = read_inputs(stacks, (), environment=name, load_target=self._option("--load-target"))
            except InputError as error:
                raise pytest.UsageError("\n".join(map(str, error.mistakes))) from error
        return self._stack

    def environment(self) -> Environment:
        """The stack, up and quiet."""
        if self._problem is not None:
            raise self._problem
        if self._environment is None:
            try:
                self._environment = self._start()
            except Exception as error:  # whatever it is, no other test begins the stack once more
                self._problem = error
                raise
        return self._environment

    def close(self) -> None:
        """Takes the stack down and writes the reports; without a run it does nothing."""
        self._cleanup.close()

    def _start(self) -> Environment:
        from harness.model import Verdict
        from harness.run.interrupt import Interruption
        from harness.run.live import LiveRun
        from harness.run.options import Options
        from harness.run.placing import require_environment, require_images
        from harness.run.reporting import new_run_directory
        from harness.run.testing import Environment, NotProved

        place = self._place()
        require_environment(place)
        require_images(place, self.stack)
        asked = self._option("--run-seed")
        seed = random.SystemRandom().randrange(2**31) if asked is None else asked
        options = Options(
            time_scale=self._option("--time-scale"),
            seed=seed,
            load_rate=self._option("--load-rate"),
            load_target=self._option("--load-target"),
            load_model=self._option("--load-model"),
            load_workers=self._option("--load-workers"),
            place=place,
        )
        run_dir = new_run_directory(self._option("--run-dir"), now=datetime.now(UTC))
        interruption = Interruption()
        live = LiveRun(self.stack, run_dir, options, interruption=interruption, say=self._say)
        self._cleanup.callback(self._write, live)
        self._cleanup.enter_context(live)
        self._say(f"run {run_dir.name}: time scale {options.time_scale:g}, seed {seed}")
        with interruption.handled():
            live.open()
            live.baseline()
        results = live.results("baseline")
        if Verdict.merge(result.verdict for result in results) is not Verdict.PASS:
            raise NotProved("baseline", results)
        return Environment(live, interruption, lambda: self.test)

    def _place(self) -> Place:
        from harness.run.placing import ClusterChoice, Place

        cluster = ClusterChoice(
            node_image=self._option("--node-image") or os.environ.get("KIND_NODE_IMAGE"),
            keep=self._option("--keep-cluster"),
            name=self._option("--cluster-name"),
            context=self._option("--kube-context"),
            namespaces=tuple(self._option("--kube-namespace")),
            load_outside=self._option("--load-outside"),
        )
        images, ready_timeout_s = self._option("--images"), self._option("--ready-timeout")
        return Place(self._option("--environment"), images, cluster, ready_timeout_s)

    def _write(self, live: LiveRun) -> None:
        from harness.run.reporting import write_reports

        result = live.judge()
        write_reports(result, live.timeline.events(), live.stack.spec, live.run_dir, colour=False)
        self.verdict, self.report = result.verdict.value, live.run_dir / "report.html"

    def _say(self, text: str) -> None:
        """Progress on the terminal when more than dots are asked for (``-v``)."""
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        capture = self._config.pluginmanager.get_plugin("capturemanager")
        if reporter is None or reporter.verbosity < 1:
            return
        with ExitStack() as shown:
            if capture is not None:
                shown.enter_context(capture.global_and_fixture_disabled())
            reporter.ensure_newline()
            reporter.write_line(text)

    def _option(self, name: str) -> Any:
        return self._config.getoption(name)
