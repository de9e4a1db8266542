"""What an experiment may expect of the stack: the schema of the extension ``harness``, and mistakes in its terms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from harness.clock import parse_duration
from harness.model import Expectation

EXTENSION = "harness"
# Longer values are cut in messages: the reader needs to find the place, not to read a whole document again.
_SHOWN_CHARACTERS = 80


def _is_duration(text: str) -> str:
    parse_duration(text)
    return text


Duration = Annotated[str, AfterValidator(_is_duration)]
Ratio = Annotated[float, Field(ge=0, le=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ExpectedAlert(_Strict):
    """An alert whose whole life must be seen; ``within`` tightens the way from its condition to the receiver.

    ``times``: how often it must fire; without it once or more, as the faults explain.
    """

    alert: str
    receiver: str | None = None
    labels: dict[str, str] = {}
    within: Duration | None = None
    times: Annotated[int, Field(ge=1)] | None = None


class ExpectedPending(_Strict):
    """An alert whose condition must become true this often without it firing, of instances with these labels."""

    alert: str
    labels: dict[str, str] = {}
    times: Annotated[int, Field(ge=1)]


class ExpectedMuted(_Strict):
    """An alert that must fire while another one mutes it, so that nobody is told of it; ``by`` names the other one."""

    alert: str
    by: str | None = None
    labels: dict[str, str] = {}


class ExpectedSilence(_Strict):
    """A heartbeat that must stop arriving while the fault is in, so that somebody outside can tell, and come back."""

    alert: str
    receiver: str | None = None


class LoadBound(_Strict):
    """What users may feel; at least one figure, since a bound without any would always hold."""

    p95: Duration | None = None
    error_ratio: Ratio | None = None

    @model_validator(mode="after")
    def _bounds_something(self) -> Self:
        if self.p95 is None and self.error_ratio is None:
            raise ValueError("need p95 or error_ratio")
        return self


class LoadAfter(LoadBound):
    """The same from ``within`` after the fault is undone."""

    within: Duration = "1m"


class ExpectedLoad(_Strict):
    """Bounds while the fault is in and after it."""

    during: LoadBound | None = None
    after: LoadAfter | None = None

    @model_validator(mode="after")
    def _bounds_something(self) -> Self:
        if self.during is None and self.after is None:
            raise ValueError("need during or after")
        return self


class ExpectedRestarts(_Strict):
    """How often a workload's pods are started again; without a namespace, those of this name in all of them."""

    workload: str
    namespace: str | None = None
    count: Annotated[int, Field(ge=0)]


class Expect(_Strict):
    """All an experiment expects; without alerts none may fire."""

    alerts: list[ExpectedAlert] = []
    pending: list[ExpectedPending] = []
    muted: list[ExpectedMuted] = []
    silence: list[ExpectedSilence] = []
    load: ExpectedLoad | None = None
    restarts: list[ExpectedRestarts] = []


class Extension(_Strict):
    """The entry of a Chaos Toolkit file's ``extensions`` that is named ``harness``."""

    name: str
    expect: Expect
    allow: list[str] = []


def expectations(expect: Expect) -> Iterable[Expectation]:
    """The expectations in the order of the checks."""
    for alert in expect.alerts:
        names = {"alert": alert.alert, "receiver": alert.receiver, "labels": alert.labels}
        yield Expectation("alert", names, parse_duration(alert.within) if alert.within else None)
        if alert.times is not None:
            yield Expectation("times", {**names, "state": "firing", "times": alert.times})
    for pending in expect.pending:
        yield Expectation("times", {**pending.model_dump(), "state": "pending"})
    for muted in expect.muted:
        yield Expectation("muted", {"alert": muted.alert, "by": muted.by, "labels": muted.labels})
    for silence in expect.silence:
        yield Expectation("silence", {"alert": silence.alert, "receiver": silence.receiver})
    if not expect.alerts:
        yield Expectation("quiet", {})
    for restarts in expect.restarts:
        yield Expectation("restarts", restarts.model_dump())
    if expect.load is not None:
        for stage, bound in (("during", expect.load.during), ("after", expect.load.after)):
            if bound is not None:
                p95_s = parse_duration(bound.p95) if bound.p95 else None
                params: dict[str, Any] = {"stage": stage, "p95_s": p95_s, "error_ratio": bound.error_ratio}
                within_s = parse_duration(bound.within) if isinstance(bound, LoadAfter) else None
                yield Expectation("load", params, within_s)


def problems(error: ValidationError, where: str) -> Iterable[tuple[str, str]]:
    """pydantic's complaints in the project's form: the key path below ``where``, and what was got and is needed."""
    for each in error.errors(include_url=False):
        yield f"{where}{_key_path(each['loc'])}", _problem(each)


def shown(value: Any) -> str:
    """A value as it stands in a message, cut where it is long."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer of many thousand digits, or a very deep nest
        return f"a very long {type(value).__name__}"
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


def type_name(value: Any) -> str:
    """What kind of value was got; ``nothing`` for null."""
    return "nothing" if value is None else type(value).__name__


def _key_path(loc: Iterable[int | str]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)


def _problem(error: Mapping[str, Any]) -> str:
    if error["type"] == "missing":
        return "missing"
    if error["type"] == "extra_forbidden":
        return "unknown key"
    cause = error.get("ctx", {}).get("error")
    need = str(cause) if cause is not None else f"{error['msg'][:1].lower()}{error['msg'][1:]}"
    return f"got {shown(error['input'])}: {need}"
