"""Chaos Toolkit files as experiments: what they break and, in the extension ``harness``, what they expect."""

from __future__ import annotations

import hashlib
import inspect
import json
import typing
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import yaml
from chaoslib.exceptions import ChaosException
from chaoslib.experiment import ensure_experiment_is_valid
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from harness import chaos
from harness.clock import parse_duration
from harness.errors import InputError, Mistake
from harness.model import Expectation, Experiment, Fault, Spec

EXTENSION = "harness"


def _is_duration(text: str) -> str:
    parse_duration(text)
    return text


Duration = Annotated[str, AfterValidator(_is_duration)]
Ratio = Annotated[float, Field(ge=0, le=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _ExpectedAlert(_Strict):
    alert: str
    receiver: str | None = None
    labels: dict[str, str] = {}
    within: Duration | None = None


class _LoadBound(_Strict):
    p95: Duration | None = None
    error_ratio: Ratio | None = None


class _LoadAfter(_LoadBound):
    within: Duration = "1m"


class _ExpectedLoad(_Strict):
    during: _LoadBound | None = None
    after: _LoadAfter | None = None


class _ExpectedRestarts(_Strict):
    workload: str
    count: Annotated[int, Field(ge=0)]


class _Expect(_Strict):
    alerts: list[_ExpectedAlert] = []
    load: _ExpectedLoad | None = None
    restarts: list[_ExpectedRestarts] = []


class _Extension(_Strict):
    name: str
    expect: _Expect
    allow: list[str] = []


def load_experiments(paths: Sequence[Path], spec: Spec | None) -> tuple[Experiment, ...]:
    """The experiments of these files and directories, in the order of the paths given and of the names in a directory.

    ``spec``: the stack's alerts and receivers, which expectations must name; None to check the files alone.
    Raises InputError with every mistake of every file.
    """
    mistakes: list[Mistake] = []
    experiments = []
    for path in _files(paths, mistakes):
        document = _parse(path, mistakes)
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


def _files(paths: Sequence[Path], mistakes: list[Mistake]) -> Iterable[Path]:
    for path in paths:
        if path.is_dir():
            found = sorted(each for each in path.iterdir() if each.suffix in (".yaml", ".yml", ".json"))
            if not found:
                mistakes.append(Mistake(path, "", "holds no experiment (*.yaml, *.yml or *.json)"))
            yield from found
        elif path.exists():
            yield path
        else:
            mistakes.append(Mistake(path, "", "does not exist"))


def _parse(path: Path, mistakes: list[Mistake]) -> dict[str, Any] | None:
    try:
        text = path.read_text(encoding="utf-8")
        document = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (OSError, UnicodeDecodeError) as error:
        mistakes.append(Mistake(path, "", f"cannot be read: {error}"))
        return None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mistakes.append(Mistake(path, "", f"is not valid {path.suffix[1:].upper()}: {' '.join(str(error).split())}"))
        return None
    if not isinstance(document, dict):
        mistakes.append(Mistake(path, "", f"got {_type(document)}, need a mapping: an experiment of Chaos Toolkit"))
        return None
    return document


def _read(path: Path, document: dict[str, Any], mistakes: list[Mistake]) -> Experiment | None:
    before = len(mistakes)
    extension = _read_extension(path, document, mistakes)
    faults = _read_faults(path, document, mistakes)
    if len(mistakes) == before:
        # Chaos Toolkit's own rules come last: it stops at its first complaint and names no key.
        try:
            ensure_experiment_is_valid(json.loads(json.dumps(document)))
        except (ChaosException, TypeError, ValueError, AttributeError, KeyError) as error:
            mistakes.append(Mistake(path, "", f"Chaos Toolkit does not accept it: {error}"))
    if len(mistakes) > before or extension is None:
        return None
    return Experiment(
        name=path.stem,
        title=str(document["title"]),
        path=str(path),
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        faults=tuple(faults),
        expectations=tuple(_expectations(extension.expect)),
        allowed_alerts=tuple(extension.allow),
        document=document,
    )


def _read_extension(path: Path, document: Mapping[str, Any], mistakes: list[Mistake]) -> _Extension | None:
    extensions = document.get("extensions")
    if not isinstance(extensions, list):
        problem = f"got {_type(extensions)}, need a list with an entry named {EXTENSION!r} that says what is expected"
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
        return _Extension.model_validate(raw)
    except ValidationError as error:
        for each in error.errors():
            mistakes.append(Mistake(path, f"extensions[{at}]{_key_path(each['loc'])}", _problem(each)))
        return None


def _read_faults(path: Path, document: Mapping[str, Any], mistakes: list[Mistake]) -> list[Fault]:
    """The harness's own actions in ``method``, with their arguments checked against the functions' signatures."""
    method = document.get("method")
    if not isinstance(method, list):
        mistakes.append(Mistake(path, "method", f"got {_type(method)}, need a list of activities"))
        return []
    faults = []
    for section, activities in (("method", method), ("rollbacks", document.get("rollbacks") or [])):
        if not isinstance(activities, list):
            mistakes.append(Mistake(path, section, f"got {_type(activities)}, need a list of activities"))
            continue
        for at, activity in enumerate(activities):
            provider = activity.get("provider") if isinstance(activity, dict) else None
            if not isinstance(provider, dict) or provider.get("module") != chaos.__name__:
                continue
            where = f"{section}[{at}].provider"
            function = chaos.ACTIVITIES.get(str(provider.get("func")))
            if function is None:
                known = ", ".join(chaos.ACTIVITIES)
                problem = f"got {provider.get('func')!r}, need one of: {known}"
                mistakes.append(Mistake(path, f"{where}.func", problem))
                continue
            arguments = provider.get("arguments") or {}
            mistakes += _wrong_arguments(path, f"{where}.arguments", function, arguments)
            kind = chaos.FAULT_OF.get(function.__name__)
            if kind is not None and isinstance(arguments, dict):
                target = str(arguments.get("workload", f"gpu {arguments.get('gpu', 0)}"))
                faults.append(Fault(str(activity.get("name")), kind, target, None, arguments))
    return faults


def _wrong_arguments(path: Path, where: str, function: Any, arguments: Any) -> Iterable[Mistake]:
    if not isinstance(arguments, dict):
        yield Mistake(path, where, f"got {_type(arguments)}, need a mapping")
        return
    hints = typing.get_type_hints(function, include_extras=True)
    parameters = inspect.signature(function).parameters
    for name in arguments.keys() - parameters.keys():
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
            for each in error.errors():
                yield Mistake(path, f"{where}.{name}{_key_path(each['loc'])}", _problem(each))


def _expectations(expect: _Expect) -> Iterable[Expectation]:
    for alert in expect.alerts:
        names = {"alert": alert.alert, "receiver": alert.receiver, "labels": alert.labels}
        yield Expectation("alert", names, parse_duration(alert.within) if alert.within else None)
    if not expect.alerts:
        yield Expectation("quiet", {})
    for restarts in expect.restarts:
        yield Expectation("restarts", {"workload": restarts.workload, "count": restarts.count})
    if expect.load is not None:
        for stage, bound in (("during", expect.load.during), ("after", expect.load.after)):
            if bound is not None:
                p95_s = parse_duration(bound.p95) if bound.p95 else None
                params: dict[str, Any] = {"stage": stage, "p95_s": p95_s, "error_ratio": bound.error_ratio}
                within = parse_duration(bound.within) if isinstance(bound, _LoadAfter) else None
                yield Expectation("load", params, within)


def _unknown_to(spec: Spec, experiment: Experiment) -> Iterable[Mistake]:
    """Alerts and receivers that the stack does not have."""
    alerts = {alert.name for alert in spec.alerts}
    receivers = {receiver.name for receiver in spec.receivers}
    extensions = experiment.document["extensions"]
    at, ours = next((at, each) for at, each in enumerate(extensions) if each.get("name") == EXTENSION)
    path = Path(experiment.path)
    for number, expected in enumerate(ours["expect"].get("alerts", [])):
        where = f"extensions[{at}].expect.alerts[{number}]"
        if expected["alert"] not in alerts:
            yield Mistake(
                path, f"{where}.alert", f"the stack selects no rule {expected['alert']!r}; it has: {_list(alerts)}"
            )
        receiver = expected.get("receiver")
        if receiver is not None and not any(is_receiver(name, receiver) for name in receivers):
            yield Mistake(
                path, f"{where}.receiver", f"the stack has no receiver {receiver!r}; it has: {_list(receivers)}"
            )
    for number, allowed in enumerate(ours.get("allow", [])):
        if allowed not in alerts:
            problem = f"the stack selects no rule {allowed!r}; it has: {_list(alerts)}"
            yield Mistake(path, f"extensions[{at}].allow[{number}]", problem)


def is_receiver(full_name: str, name: str) -> bool:
    """Whether a receiver, for the operator ``<namespace>/<configuration>/<receiver>``, is the one called ``name``."""
    return full_name == name or full_name.endswith(f"/{name}")


def _same_names(experiments: Sequence[Experiment]) -> Iterable[Mistake]:
    first: dict[str, Experiment] = {}
    for experiment in experiments:
        known = first.setdefault(experiment.name, experiment)
        if known is not experiment:
            yield Mistake(experiment.path, "", f"has the same name as {known.path}")


def _key_path(loc: Iterable[int | str]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)


def _problem(error: Mapping[str, Any]) -> str:
    """pydantic's complaint in the project's form: what was got, what is needed."""
    if error["type"] == "missing":
        return "missing"
    if error["type"] == "extra_forbidden":
        return "unknown key"
    cause = error.get("ctx", {}).get("error")
    need = str(cause) if cause is not None else f"{error['msg'][:1].lower()}{error['msg'][1:]}"
    return f"got {error['input']!r}: {need}"


def _type(value: Any) -> str:
    return "nothing" if value is None else type(value).__name__


def _list(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
