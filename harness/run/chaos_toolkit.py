"""Runs one experiment with Chaos Toolkit, in this process."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Mapping
from typing import Any

from chaoslib.experiment import run_experiment
from chaoslib.run import RunEventHandler
from chaoslib.types import Activity, Experiment, Journal, Run

from harness.run.interrupt import Interruption

_LOGGER = "logzero_default"  # Chaos Toolkit's own


class _Watch(RunEventHandler):  # type: ignore[misc]
    """Keeps the run's signal handlers in place and tells which activity failed."""

    def __init__(
        self, interruption: Interruption, failed: Callable[[str, str], None], say: Callable[[str], None]
    ) -> None:
        self._interruption = interruption
        self._failed = failed
        self._say = say
        self._rolling_back = False

    def started(self, experiment: Experiment, journal: Journal) -> None:
        self._interruption.take_signals()

    def start_rollbacks(self, experiment: Experiment) -> None:
        self._rolling_back = True

    def start_activity(self, activity: Activity) -> None:
        if not self._rolling_back:
            self._interruption.check()  # no further fault goes in once somebody wants the run to end
        self._say(str(activity.get("name")))

    def activity_completed(self, activity: Activity, run: Run) -> None:
        if run["status"] != "succeeded":
            error = run.get("exception")
            last = str(error[-1]).strip() if isinstance(error, list) and error else str(run.get("output") or "aborted")
            self._failed(str(activity.get("name")), last)


def run_chaos_toolkit(
    document: Mapping[str, Any],
    *,
    time_scale: float,
    interruption: Interruption,
    failed: Callable[[str, str], None],
    say: Callable[[str], None],
) -> None:
    """Runs the experiment's method and, always, its rollbacks.

    Chaos Toolkit changes what it is given, so it gets a copy, in which its own pauses are compressed. Its status is not
    returned: it says ``completed`` also when an action raised. ``failed`` is told each such activity and its error.
    """
    experiment = _compress_pauses(copy.deepcopy(dict(document)), time_scale)
    settings = {"runtime": {"rollbacks": {"strategy": "always"}}}
    for name in (_LOGGER, "chaostoolkit"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    run_experiment(experiment, settings=settings, event_handlers=[_Watch(interruption, failed, say)])


def _compress_pauses(experiment: dict[str, Any], time_scale: float) -> dict[str, Any]:
    probes = (experiment.get("steady-state-hypothesis") or {}).get("probes") or []
    for activity in (*probes, *(experiment.get("method") or []), *(experiment.get("rollbacks") or [])):
        pauses = activity.get("pauses") or {}
        for when, pause in pauses.items():
            if isinstance(pause, (int, float)) and not isinstance(pause, bool):
                pauses[when] = pause / time_scale
    return experiment
