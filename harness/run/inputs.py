"""Reads all that a run is given before anything is touched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness import chaos
from harness.errors import InputError, Mistake
from harness.expectations import EXTENSION
from harness.experiment import load_experiments
from harness.faults.catalogue import FAULTS
from harness.model import Experiment
from harness.stack import Stack, Workload, load_stack


def read_inputs(
    stack_dirs: Sequence[Path],
    experiment_paths: Sequence[Path],
    *,
    environment: str = "local",
    load_target: str | None = None,
) -> tuple[Stack, tuple[Experiment, ...]]:
    """The stack of these directories, together, and the experiments for this environment.

    Raises InputError with the mistakes of both.
    """
    mistakes: list[Mistake] = []
    stack = None
    experiments: tuple[Experiment, ...] = ()
    try:
        stack = load_stack(*stack_dirs)
    except InputError as error:
        mistakes += error.mistakes
    try:
        experiments = read_experiments(stack, experiment_paths, environment=environment)
    except InputError as error:
        mistakes += error.mistakes
    if stack is not None and load_target is not None:
        mistakes += _no_service(stack, load_target)
    if mistakes or stack is None:
        raise InputError(mistakes)
    return stack, experiments


def read_experiments(
    stack: Stack | None, paths: Sequence[Path], *, environment: str = "local"
) -> tuple[Experiment, ...]:
    """The experiments, held against what the stack and the environment have; None: for themselves.

    Raises InputError with every mistake.
    """
    experiments = load_experiments(paths, stack.spec if stack else None)
    mistakes = list(_absent(stack, experiments)) if stack is not None else []
    mistakes += _not_here(experiments, environment)
    if mistakes:
        raise InputError(mistakes)
    return experiments


def _no_service(stack: Stack, target: str) -> Iterator[Mistake]:
    known = [each.target(port) for each in stack.services for port in each.ports]
    if target not in known:
        named = ", ".join(known) or "none"
        yield Mistake(
            "--load-target", "", f"got {target!r}, need namespace/service:port of a Service; there are: {named}"
        )


def _not_here(experiments: Sequence[Experiment], environment: str) -> Iterator[Mistake]:
    """Faults that only a cluster has, asked of this machine."""
    for experiment in experiments if environment == "local" else ():
        for at, activity in enumerate(experiment.document["method"]):
            provider = activity.get("provider") or {}
            kind = chaos.FAULT_OF.get(str(provider.get("func"))) if provider.get("module") == chaos.__name__ else None
            if kind is not None and FAULTS[kind].needs_cluster:
                problem = f"{provider['func']} needs a cluster: run it with --environment kind"
                yield Mistake(experiment.path, f"method[{at}].provider.func", problem)


def _absent(stack: Stack, experiments: Sequence[Experiment]) -> Iterator[Mistake]:
    """Workloads and volumes that an experiment names and the stack does not have."""
    for experiment in experiments:
        for where, named in _naming(experiment):
            for key, namespace in (("workload", named.get("namespace")), ("to_workload", None)):
                if key in named and not _workloads(stack, named[key], namespace):
                    known = ", ".join(sorted({workload.name for workload in stack.workloads}))
                    place = f"namespace {namespace} of the stack" if namespace else "the stack"
                    problem = f"{place} has no workload {named[key]!r}; it has: {known}"
                    yield Mistake(experiment.path, f"{where}.{key}", problem)
            found = _workloads(stack, named["workload"], named.get("namespace")) if "workload" in named else ()
            volumes = sorted({volume.name for workload in found for volume in workload.volumes})
            if found and "volume" in named and named["volume"] not in volumes:
                held = ", ".join(volumes) or "none"
                problem = f"{named['workload']} has no volume {named['volume']!r}; it has: {held}"
                yield Mistake(experiment.path, f"{where}.volume", problem)


def _naming(experiment: Experiment) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Wherever an experiment may name workloads: the key path, and the mapping there."""
    for at, activity in enumerate(experiment.document["method"]):
        provider = activity.get("provider") or {}
        if provider.get("module") == chaos.__name__:
            yield f"method[{at}].provider.arguments", provider.get("arguments") or {}
    for at, extension in enumerate(experiment.document["extensions"]):
        if isinstance(extension, dict) and extension.get("name") == EXTENSION:
            for number, restarts in enumerate(extension["expect"].get("restarts") or ()):
                yield f"extensions[{at}].expect.restarts[{number}]", restarts


def _workloads(stack: Stack, name: str, namespace: str | None) -> list[Workload]:
    """Those called so, or with a pod called so, in the namespace or, without one, in any."""
    return [
        workload
        for workload in stack.workloads
        if name in (workload.name, *workload.pod_names()) and namespace in (None, workload.namespace)
    ]
