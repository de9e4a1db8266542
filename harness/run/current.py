"""The session that the activities of experiments act on in this process."""

from __future__ import annotations

import sys
from pathlib import Path

from harness.clock import RunClock
from harness.defaults import EXPERIMENT_SUFFIXES
from harness.evidence.timeline import Timeline
from harness.run.running import Running
from harness.run.session import Session, open_session
from harness.run.standing import find_environment
from harness.stack import load_stack_of

_current: Session | None = None


def set_current_session(session: Session | None) -> None:
    """Makes this the session that experiments act on in this process; None: none."""
    global _current
    _current = session


def current_session() -> Session:
    """The run's session, or one attached to the environment that ``harness up`` left.

    Raises HarnessError when there is no such environment, or several and ``HARNESS_RUN`` names none.
    """
    if _current is None:
        set_current_session(_attach(find_environment(Path("reports"))))
    assert _current is not None
    return _current


def _attach(environment: Running) -> Session:
    """A session of this process on a running environment, with a timeline of its own beside the environment's files.

    It expects what the experiment says that this process was called with, as ``chaos run`` is.
    """
    from harness.experiment import load_experiments  # which knows the activities, and they know this module

    spec = load_stack_of(environment.state.stack).spec
    named = [Path(each) for each in sys.argv[1:] if Path(each).suffix in EXPERIMENT_SUFFIXES and Path(each).is_file()]
    experiments = load_experiments(named, spec) if len(named) == 1 else ()
    run_dir = Path(environment.state.run_dir)
    number = sum(1 for _ in run_dir.glob("chaos-*.jsonl")) + 1
    timeline = Timeline(run_dir / f"chaos-{number}.jsonl", RunClock.start())
    expected = experiments[0].expectations if experiments else None
    return open_session(environment, spec, timeline, watch=lambda: None, expected=expected)
