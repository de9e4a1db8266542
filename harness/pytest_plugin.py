"""Experiments as pytest tests, and the fixtures ``stack``, ``environment`` and ``load`` for tests of one's own.

``pytest experiments/`` collects every experiment file as a test. The stack comes up once, for the first test that needs
it, and goes down at the end, when the run's reports are written. A check that is not PASS fails the test: also UNKNOWN.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness import defaults
from harness.pytest_run import SessionRun

if TYPE_CHECKING:  # they take longer to import than a test session that has no use for them may take
    from harness.model import Experiment
    from harness.run.testing import Environment, Load
    from harness.stack import Stack


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
    add(
        "--ready-timeout",
        type=_number(int, 1, 86_400),
        metavar="SECONDS",
        help="for the pods to be ready [60; kind and kube: 300]",
    )
    add("--kube-context", metavar="NAME", help="kube: the context of the cluster, from your kubeconfig")
    add("--kube-namespace", action="append", default=[], metavar="NAME", help="kube: a namespace it may act in")
    add("--load-workers", type=int, default=defaults.LOAD_WORKERS, metavar="N", help="kind, kube: locust's workers [1]")
    add("--load-outside", action="store_true", help="kind: load comes from this machine through a port, not from pods")
    add(
        "--time-scale",
        type=_number(float, 1, 1000),
        default=defaults.TIME_SCALE,
        metavar="N",
        help="divides every duration [60]",
    )
    add(
        "--load-rate",
        type=_number(float, 0.1, 5000),
        default=defaults.LOAD_RATE,
        metavar="N",
        help="requests per second [default: 10]",
    )
    add("--load-target", metavar="NAMESPACE/SERVICE:PORT", help="the inference Service [default: by its label]")
    add("--load-model", default=defaults.LOAD_MODEL, metavar="NAME", help="the model to ask [default: demo-lm]")
    add(
        "--run-seed",
        type=_number(int, 0),
        metavar="N",
        help="for every random choice of the run [default: drawn, and shown]",
    )
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
    if file_path.suffix not in defaults.EXPERIMENT_SUFFIXES or not (
        _named(file_path, parent.config) or _says_so(file_path)
    ):
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


_RUN = pytest.StashKey[SessionRun]()


def _number(read: Callable[[str], float], least: float, most: float = math.inf) -> Callable[[str], float]:
    """What reads an option's number and refuses what is not in this range, as NaN is not."""

    def number(text: str) -> float:
        value = read(text)
        if not least <= value <= most:
            raise ValueError
        return value

    return number


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
