"""Chaos Toolkit files as experiments: what they break and, in the extension ``harness``, what they expect."""

from __future__ import annotations

import hashlib
import inspect
import json
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from chaoslib.exceptions import ChaosException
from chaoslib.experiment import ensure_experiment_is_valid
from pydantic import TypeAdapter, ValidationError

from harness import chaos
from harness.errors import InputError, Mistake
from harness.expectations import EXTENSION, Extension, expectations, problems, shown, type_name
from harness.experiment_files import experiment_files, parse_file
from harness.model import Experiment, Fault
from harness.spec import Spec

# The run's own phases; their results would be mixed up with those of an experiment of this name.
_RESERVED_NAMES = frozenset({"baseline", "startup"})


def load_experiments(paths: Sequence[Path], spec: Spec | None) -> tuple[Experiment, ...]:
    """The experiments of these files and directories, in the order of the paths given and of the names in a directory.

    ``spec``: the stack's alerts and receivers, which expectations must name; None to check the files alone.
    Raises InputError with every mistake of every file.
    """
    mistakes: list[Mistake] = []
    experiments = []
    for path in experiment_files(paths, mistakes):
        document = parse_file(path, mistakes)
        if document is None:
            continue
        experiment = _read(path, document, mistakes)
        if experiment is not None:
            mistakes += _unknown_to(spec, experiment) if spec is not None else []
            experiments.append(experiment)
    mistakes += _same_names(experiments)
    if mistakes:
        raise InputError(mistakes)
    return tuple(experiments)


def experiment_in_code(name: str, path: Path, asked: Mapping[str, Any], spec: Spec) -> Experiment:
    """An experiment whose method is Python: ``asked`` holds ``expect`` and ``allow`` as a file's extension does.

    ``path``: the file it is written in. Raises InputError with every mistake in what is asked.
    """
    where = Path(f"{path}: {name}")
    document = {"title": name, "method": [], "extensions": [{"name": EXTENSION, **asked}]}
    mistakes: list[Mistake] = []
    extension = _read_extension(where, document, mistakes)
    if extension is None:
        raise InputError(mistakes)
    experiment = Experiment(
        name=name,
        title=name.replace("_", " "),
        path=str(path),
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        faults=(),
        expectations=tuple(expectations(extension.expect)),
        allowed_alerts=tuple(extension.allow),
        document=document,
    )
    mistakes += [replace(each, file=where) for each in _unknown_to(spec, experiment)]
    mistakes += _reserved(experiment)
    if mistakes:
        raise InputError(mistakes)
    return experiment


def _read(path: Path, document: dict[str, Any], mistakes: list[Mistake]) -> Experiment | None:
    before = len(mistakes)
    extension = _read_extension(path, document, mistakes)
    faults = _read_faults(path, document, mistakes)
    if len(mistakes) == before:
        # Chaos Toolkit's own rules come last: it stops at its first complaint and names no key.
        try:
            ensure_experiment_is_valid(json.loads(json.dumps(document)))
        except Exception as error:  # noqa: BLE001 - it imports what a file names, which may raise anything
            mistakes.append(Mistake(path, "", f"Chaos Toolkit does not accept it: {_complaint(error)}"))
    if len(mistakes) > before or extension is None:
        return None
    return Experiment(
        name=path.stem,
        title=str(document["title"]),
        path=str(path),
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        faults=tuple(faults),
        expectations=tuple(expectations(extension.expect)),
        allowed_alerts=tuple(extension.allow),
        document=document,
    )


def _read_extension(path: Path, document: Mapping[str, Any], mistakes: list[Mistake]) -> Extension | None:
    extensions = document.get("extensions")
    if not isinstance(extensions, list):
        problem = (
            f"got {type_name(extensions)}, need a list with an entry named {EXTENSION!r} that says what is expected"
        )
        mistakes.append(Mistake(path, "extensions", problem))
        return None
    ours = [
        (at, each) for at, each in enumerate(extensions) if isinstance(each, dict) and each.get("name") == EXTENSION
    ]
    if len(ours) != 1:
        problem = f"need exactly one entry named {EXTENSION!r}, got {len(ours)}"
        mistakes.append(Mistake(path, "extensions", problem))
        return None
    at, raw = ours[0]
    try:
        return Extension.model_validate(raw)
    except ValidationError as error:
        mistakes += [Mistake(path, where, problem) for where, problem in problems(error, f"extensions[{at}]")]
        return None


def _read_faults(path: Path, document: Mapping[str, Any], mistakes: list[Mistake]) -> list[Fault]:
    """The faults of the method and the rollbacks, with all arguments checked against the functions' signatures."""
    faults = []
    for section in ("method", "rollbacks"):
        activities = document.get(section)
        if activities is None and section == "rollbacks":
            continue
        if not isinstance(activities, list):
            mistakes.append(Mistake(path, section, f"got {type_name(activities)}, need a list of activities"))
            continue
        for where, activity, provider in _own_activities(section, activities):
            function = chaos.ACTIVITIES.get(str(provider.get("func")))
            if function is None:
                problem = f"got {shown(provider.get('func'))}, need one of: {', '.join(chaos.ACTIVITIES)}"
                if provider.get("func") == "TODO":
                    problem = f"TODO: say what breaks it, one of: {', '.join(chaos.FAULT_OF)}"
                mistakes.append(Mistake(path, f"{where}.func", problem))
                continue
            arguments = {} if provider.get("arguments") is None else provider["arguments"]
            mistakes += _wrong_arguments(path, f"{where}.arguments", function, arguments)
            kind = chaos.FAULT_OF.get(function.__name__)
            if kind is not None and isinstance(arguments, dict):
                target = str(arguments.get("workload", f"gpu {arguments.get('gpu', 0)}"))
                faults.append(Fault(str(activity.get("name")), kind, target, None, arguments))
    return faults


def _own_activities(section: str, activities: Sequence[Any]) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """The activities that call the harness's own functions: where the provider stands, activity and provider."""
    for at, activity in enumerate(activities):
        provider = activity.get("provider") if isinstance(activity, dict) else None
        if isinstance(provider, dict) and provider.get("module") == chaos.__name__:
            yield f"{section}[{at}].provider", activity, provider


def _wrong_arguments(path: Path, where: str, function: Any, arguments: Any) -> Iterable[Mistake]:
    if not isinstance(arguments, dict):
        yield Mistake(path, where, f"got {type_name(arguments)}, need a mapping")
        return
    hints = typing.get_type_hints(function, include_extras=True)
    parameters = inspect.signature(function).parameters
    for name in (each for each in arguments if each not in parameters):
        yield Mistake(
            path, f"{where}.{name}", f"unknown; {function.__name__} takes: {', '.join(parameters) or 'nothing'}"
        )
    for name, parameter in parameters.items():
        if name not in arguments:
            if parameter.default is inspect.Parameter.empty:
                yield Mistake(path, f"{where}.{name}", "missing")
            continue
        try:
            TypeAdapter(hints[name]).validate_python(arguments[name], strict=True)
        except ValidationError as error:
            for at, problem in problems(error, f"{where}.{name}"):
                yield Mistake(path, at, problem)


def _unknown_to(spec: Spec, experiment: Experiment) -> Iterable[Mistake]:
    """Alerts and receivers that the stack does not have."""
    alerts = {alert.name for alert in spec.alerts}
    receivers = {receiver.name for receiver in spec.receivers}
    path = Path(experiment.path)
    extensions = experiment.document["extensions"]
    at = next(at for at, each in enumerate(extensions) if isinstance(each, dict) and each.get("name") == EXTENSION)
    ours = extensions[at]
    named = [(f"extensions[{at}].allow[{number}]", name) for number, name in enumerate(ours.get("allow", []))]
    told = [
        (f"extensions[{at}].expect.{key}[{number}]", expected)
        for key in ("alerts", "pending", "silence", "muted")
        for number, expected in enumerate(ours["expect"].get(key, []))
    ]
    for where, expected in told:
        named.append((f"{where}.alert", expected["alert"]))
        named += [(f"{where}.by", expected["by"])] if expected.get("by") is not None else []
        receiver = expected.get("receiver")
        if receiver is not None and not any(is_receiver(name, receiver) for name in receivers):
            problem = f"the stack has no receiver {receiver!r}; it has: {_list(receivers)}"
            yield Mistake(path, f"{where}.receiver", problem)
    for section in ("method", "rollbacks"):
        for where, _, provider in _own_activities(section, experiment.document.get(section) or []):
            held = (provider.get("arguments") or {}).get("alerts") or []
            named += [(f"{where}.arguments.alerts[{number}]", name) for number, name in enumerate(held)]
    for where, name in named:
        if name not in alerts:
            yield Mistake(path, where, f"the stack selects no rule {name!r}; it has: {_list(alerts)}")


def is_receiver(full_name: str, name: str) -> bool:
    """Whether a receiver, for the operator ``<namespace>/<configuration>/<receiver>``, is the one called ``name``."""
    return full_name == name or full_name.endswith(f"/{name}")


def _same_names(experiments: Sequence[Experiment]) -> Iterable[Mistake]:
    first: dict[str, Experiment] = {}
    for experiment in experiments:
        yield from _reserved(experiment)
        known = first.setdefault(experiment.name, experiment)
        if known is not experiment:
            yield Mistake(experiment.path, "", f"has the same name as {known.path}")


def _reserved(experiment: Experiment) -> Iterable[Mistake]:
    if experiment.name in _RESERVED_NAMES:
        yield Mistake(experiment.path, "", f"an experiment cannot be named {experiment.name}: a phase of the run is")


def _complaint(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, ChaosException) else f"{type(error).__name__}: {text}"


def _list(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
