"""One certification: the stack comes up under load, stays quiet, is broken piece by piece, and is judged."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from harness.errors import StackNotReady
from harness.model import Experiment, RunResult
from harness.run.interrupt import Interruption
from harness.run.live import LiveRun, Say
from harness.run.options import Options
from harness.run.reporting import write_reports
from harness.stack import Stack


def certify(
    stack: Stack,
    experiments: Sequence[Experiment],
    run_dir: Path,
    options: Options,
    *,
    interruption: Interruption,
    say: Say,
    colour: bool = False,
) -> tuple[RunResult, str]:
    """The run's result, and what to tell of it; its reports are written.

    Whatever happens on the way, the faults are undone and nothing of the stack is left running. An interrupted run
    gives a result too: what was not run is UNKNOWN; so does a stack that does not come up: FAIL. Once all was run a
    signal changes nothing, but ``interruption`` tells of it: somebody waits for the reports.
    """
    with interruption.handled():
        with LiveRun(stack, run_dir, options, interruption=interruption, say=say) as run:
            run.plan(*experiments)
            with suppress(KeyboardInterrupt, StackNotReady):
                run.open()
                run.baseline()
                for number, experiment in enumerate(experiments, start=1):
                    say(f"[{number}/{len(experiments)}] {experiment.name}: {experiment.title}")
                    run.experiment(experiment)
        result = run.judge()
        say("writing the report")
        return result, write_reports(result, run.timeline.events(), stack.spec, run_dir, colour=colour)
