"""Experiments as pytest tests, and the fixtures ``stack``, ``environment`` and ``load`` for tests of one's own.

``pytest experiments/`` collects every experiment file as a test. The stack comes up once, for the first test that needs
it, and goes down at the end, when the run's reports are written. A check that is not PASS fails the test: also UNKNOWN.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness import defaults

if TYPE_CHECKING:  # they take longer to import than a test session that has no use for them may take
    from harness.model import Experiment
    from harness.run.live import LiveRun
    from harness.run.placing import Place
    from harness.run.testing import Environment, Load
    from harness.stack import Stack

_SUFFIXES = (".yaml", ".yml", ".json")


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of ``harness certify``, under the same names where pytest has none of that name."""
    group = parser.getgroup("harness", "experiments on a live monitoring stack")
    add = group.addoption
    add("--stack", type=Path, action="append", metavar="DIR", help="manifests; several are read as one [the shipped]")
    add("--environment", choices=["local", "kind", "kube"], default="local", help="where the stack runs [local]")
    add(
        "--images",
        default="official",
        metavar="NAME",
        help="kind, kube: official, offline or a mapping file [official]",
    )
    add("--node-image", metavar="IMAGE", help="kind: of its nodes [default: kind's own]")
    add("--keep-cluster", action="store_true", help="kind: use the kept cluster, making it if need be, and keep it")
    add("--cluster-name", default=defaults.KEPT_CLUSTER, metavar="NAME", help="kind: what the kept cluster is called")
    add("--kube-context", metavar="NAME", help="kube: the context of the cluster, from your kubeconfig")
    add("--kube-namespace", action="append", default=[], metavar="NAME", help="kube: a namespace it may act in")
    add("--load-workers", type=int, default=defaults.LOAD_WORKERS, metavar="N", help="kind, kube: locust's workers [1]")
    add("--load-outside", action="store_true", help="kind: load comes from this machine through a port, not from pods")
    add("--time-scale", type=_time_scale, default=defaults.TIME_SCALE, metavar="N", help="divides every duration [60]")
    add("--load-rate", type=float, default=defaults.LOAD_RATE, metavar="N", help="requests per second [default: 10]")
    add("--load-target", metavar="NAMESPACE/SERVICE:PORT", help="the inference Service [default: by its label]")
    add("--load-model", default=defaults.LOAD_MODEL, metavar="NAME", help="the model to ask [default: demo-lm]")
    add("--run-seed", type=int, metavar="N", help="for every random choice of the run [default: drawn, and shown]")
    add("--run-dir", type=Path, metavar="DIR", help="the run's directory, new or empty [default: reports/<time>]")


def pytest_configure(config: pytest.Config) -> None:
    """One run for the whole session; nothing of it is started yet."""
    config.stash[_RUN] = SessionRun(config)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """The shipped experiments that need a cluster are none of ``pytest experiments/`` on this machine, unless named."""
    here = config.getoption("--environment") == "local"
    theirs = collection_path.resolve() == defaults.CLUSTER_EXPERIMENTS.resolve()
    return True if here and theirs and not _is_argument(collection_path, config) else None


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> ExperimentFile | None:
    """A file that says it is an experiment of the harness, and any file of a directory that was named on the command
    line for its experiments: one that cannot be read there must not go unnoticed."""
    if file_path.suffix not in _SUFFIXES or not (_named(file_path, parent.config) or _says_so(file_path)):
        return None
    return ExperimentFile.from_parent(parent, path=file_path)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Experiments written as Python are named after their test."""
    item.config.stash[_RUN].test = (item.name, item.path)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """The stack goes down and the reports are written, whatever ended the session."""
    session.config.stash[_RUN].close()


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """The run's verdict and where its report is."""
    run = config.stash[_RUN]
    if run.verdict is not None:
        terminalreporter.section("harness")
        terminalreporter.write_line(f"{run.verdict}  report: {run.report}")


@pytest.fixture(scope="session")
def stack(pytestconfig: pytest.Config) -> Stack:
    """The stack under test as its manifests say it; nothing is started for it."""
    return pytestconfig.stash[_RUN].stack


@pytest.fixture(scope="session")
def environment(pytestconfig: pytest.Config) -> Environment:
    """The stack, up for the whole session, under load, and seen to be quiet while nobody disturbed it."""
    return pytestconfig.stash[_RUN].environment()


@pytest.fixture(scope="session")
def load(environment: Environment) -> Load:
    """The load that runs on the stack. Fails where the stack has no inference Service."""
    from harness.run.testing import Load

    if environment.live.load is None:
        pytest.fail("there is no load: the stack has no inference Service; name one with --load-target", pytrace=False)
    return Load(environment)


class ExperimentFile(pytest.File):
    """One experiment file."""

    def collect(self) -> Iterator[ExperimentItem]:
        """Its one experiment. A file with mistakes is an error of the collection that names them all."""
        from harness.errors import InputError
        from harness.run.inputs import read_experiments

        stack = self.config.stash[_RUN].stack
        try:
            environment = self.config.getoption("--environment")
            (experiment,) = read_experiments(stack, [self.path], environment=environment)
        except InputError as error:
            raise self.CollectError("\n".join(map(str, error.mistakes))) from error
        yield ExperimentItem.from_parent(self, name=experiment.name, experiment=experiment)


class ExperimentItem(pytest.Item):
    """An experiment as a test: it passes when every check of it is PASS."""

    def __init__(self, *, experiment: Experiment, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.experiment = experiment

    def runtest(self) -> None:
        """Runs and judges it."""
        from harness.model import Verdict
        from harness.run.testing import NotProved

        environment = self.config.stash[_RUN].environment()
        results = environment.run(self.experiment)
        verdict = Verdict.merge(result.verdict for result in results)
        self.user_properties += [("verdict", verdict.value), ("checks", len(results)), ("run", environment.run_dir)]
        if verdict is not Verdict.PASS:
            raise NotProved(self.experiment.name, results)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The checks that are not PASS; a traceback only for what the harness did not foresee."""
        from harness.errors import HarnessError
        from harness.run.testing import NotProved

        if isinstance(excinfo.value, (NotProved, HarnessError)):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Where it stands and what it is called."""
        return self.path, None, f"{self.name}: {self.experiment.title}"


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
            except Exception as error:
                self._problem = error
                raise
        return self._environment

    def close(self) -> None:
        """Takes the stack down and writes the reports; without a run it does nothing."""
        self._cleanup.close()

    def _start(self) -> Environment:
        from harness.model import Verdict
        from harness.run.interrupt import Interruption
        from harness.run.live import LiveRun, Options
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
        return Place(self._option("--environment"), self._option("--images"), cluster)

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


_RUN = pytest.StashKey[SessionRun]()


def _time_scale(text: str) -> float:
    value = float(text)
    if not 1 <= value <= 1000:
        raise ValueError
    return value


def _is_argument(path: Path, config: pytest.Config) -> bool:
    """Whether the path itself was named on the command line."""
    return path.resolve() in _arguments(config)


def _arguments(config: pytest.Config) -> Sequence[Path]:
    """The files and directories named on the command line."""
    return [Path(arg.partition("::")[0]).resolve() for arg in config.args]


def _named(path: Path, config: pytest.Config) -> bool:
    """Whether the file itself was named on the command line, or is in a directory named ``experiments`` that was."""
    named = _arguments(config)
    return path in named or (path.parent in named and path.parent.name == "experiments")


def _says_so(path: Path) -> bool:
    """Whether a file is an experiment by what it holds: a method, and the extension ``harness``."""
    from harness.errors import Mistake
    from harness.expectations import EXTENSION
    from harness.experiment_files import parse_file

    unread: list[Mistake] = []
    document = parse_file(path, unread)
    if document is None or not isinstance(document.get("extensions"), list) or "method" not in document:
        return False
    return any(isinstance(each, dict) and each.get("name") == EXTENSION for each in document["extensions"])
