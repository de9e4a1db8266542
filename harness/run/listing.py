"""What there is to run: stacks, experiments, and faults with their parameters and needs."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness import chaos
from harness.experiment import load_experiments
from harness.faults.catalogue import FAULTS
from harness.stack import load_stack


def list_stack(directories: Sequence[Path]) -> Iterator[str]:
    """A stack's workloads, alerts and receivers, a line each. Raises InputError when it cannot be read."""
    stack = load_stack(*directories)
    yield f"stack {stack.path}"
    for workload in stack.workloads:
        yield f"  {workload.kind} {workload.namespace}/{workload.name}: {workload.replicas} pods"
    for alert in stack.spec.alerts:
        note = f" (needs --time-scale 1: it {'; '.join(alert.incompressible)})" if alert.incompressible else ""
        yield f"  alert {alert.name}, group {alert.group}{note}"
    for receiver in stack.spec.receivers:
        yield f"  receiver {receiver.name}: {', '.join(receiver.integrations) or 'without integrations'}"
    for reason in stack.unselected:
        yield f"  not selected: {reason}"


def list_experiments(path: Path) -> Iterator[str]:
    """The experiments of a file or directory, a line each. Raises InputError when one is wrong."""
    yield f"experiments {path}"
    for experiment in load_experiments([path], None):
        yield f"  {experiment.name}: {experiment.title}"


def list_faults() -> Iterator[str]:
    """The functions of ``harness.chaos`` that put a fault in, with parameters, what they do, need and are seen by."""
    yield "faults (module: harness.chaos)"
    for name, kind in chaos.FAULT_OF.items():
        function = chaos.ACTIVITIES[name]
        parameters = ", ".join(
            parameter.name
            if parameter.default is inspect.Parameter.empty
            else f"{parameter.name}={parameter.default!r}"
            for parameter in inspect.signature(function).parameters.values()
        )
        fault = FAULTS[kind]
        undo = "undone by undo_faults" if fault.undo else "passes by itself"
        yield f"  {name}({parameters})"
        yield f"      {inspect.getdoc(function)}"
        yield f"      needs {fault.needs}; its effect is read from {fault.source}; {undo}"
