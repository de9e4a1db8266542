"""A result read back from its JSON; whatever is wrong with the document is named, all of it at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from harness.errors import InputError, Mistake
from harness.model import CheckResult, Covered, Phase, RunResult, Verdict

SCHEMA = 1

T = TypeVar("T")

_NON_FINITE = {"NaN": float("nan"), "+Inf": float("inf"), "-Inf": float("-inf")}


def from_json(document: Any, *, file: str = "result.json") -> RunResult:
    """The result a document of ``to_json`` stands for; ``file`` is only named in mistakes.

    Raises InputError with every key that is missing or of the wrong kind, and for a schema this version does not know.
    """
    reader = _Reader(file)
    result = reader.result(document)
    if reader.mistakes:
        raise InputError(reader.mistakes)
    return result


@dataclass(slots=True)
class _Reader:
    """Reads on after a mistake with a stand-in value, so that one look finds them all."""

    file: str
    mistakes: list[Mistake] = field(default_factory=list)

    def result(self, raw: Any) -> RunResult:
        top = self.mapping(raw, "")
        if top.get("schema") != SCHEMA:
            self.report("schema", top.get("schema"), f"{SCHEMA}, the one this version reads")
        return RunResult(
            run_id=self.text(top.get("run_id"), "run_id"),
            verdict=self.verdict(top.get("verdict"), "verdict"),
            results=self.many(top.get("results"), "results", self.check),
            phases=self.many(top.get("phases"), "phases", self.phase),
            versions=self.texts(top.get("versions"), "versions"),
            seed=self.integer(top.get("seed"), "seed"),
            time_scale=self.real(top.get("time_scale"), "time_scale"),
            environment=self.text(top.get("environment"), "environment"),
            gpu=self.text(top.get("gpu"), "gpu"),
            not_exercised=self.many(top.get("not_exercised"), "not_exercised", self.text),
            coverage={
                kind: self.covered(each, f"coverage.{kind}")
                for kind, each in self.mapping(top.get("coverage"), "coverage").items()
            },
            stack=self.texts(top.get("stack"), "stack"),
            experiments=self.many(top.get("experiments"), "experiments", self.texts),
            interrupted=None if top.get("interrupted") is None else self.text(top["interrupted"], "interrupted"),
            cpu_waited=self.optional_real(top.get("cpu_waited"), "cpu_waited"),
        )

    def check(self, raw: Any, where: str) -> CheckResult:
        entry = self.mapping(raw, where)
        return CheckResult(
            experiment=self.text(entry.get("experiment"), f"{where}.experiment"),
            check=self.text(entry.get("check"), f"{where}.check"),
            verdict=self.verdict(entry.get("verdict"), f"{where}.verdict"),
            measured=self.optional_real(entry.get("measured"), f"{where}.measured"),
            limit=self.optional_real(entry.get("limit"), f"{where}.limit"),
            unit=self.text(entry.get("unit"), f"{where}.unit"),
            summary=self.text(entry.get("summary"), f"{where}.summary"),
            evidence=self.many(entry.get("evidence"), f"{where}.evidence", self.integer),
        )

    def covered(self, raw: Any, where: str) -> Covered:
        entry = self.mapping(raw, where)
        return Covered(
            proved=self.many(entry.get("proved"), f"{where}.proved", self.text),
            unproved=self.many(entry.get("unproved"), f"{where}.unproved", self.text),
        )

    def phase(self, raw: Any, where: str) -> Phase:
        entry = self.mapping(raw, where)
        return Phase(
            name=self.text(entry.get("name"), f"{where}.name"),
            start_s=self.real(entry.get("start_s"), f"{where}.start_s"),
            end_s=self.optional_real(entry.get("end_s"), f"{where}.end_s"),
        )

    def many(self, raw: Any, where: str, read: Callable[[Any, str], T]) -> tuple[T, ...]:
        if not isinstance(raw, list):
            self.report(where, raw, "a list")
            return ()
        return tuple(read(item, f"{where}[{number}]") for number, item in enumerate(raw))

    def mapping(self, raw: Any, where: str) -> Mapping[str, Any]:
        if isinstance(raw, Mapping):
            return raw
        self.report(where, raw, "an object")
        return {}

    def texts(self, raw: Any, where: str) -> Mapping[str, str]:
        return {key: self.text(value, f"{where}.{key}") for key, value in self.mapping(raw, where).items()}

    def text(self, raw: Any, where: str) -> str:
        if isinstance(raw, str):
            return raw
        self.report(where, raw, "a string")
        return ""

    def verdict(self, raw: Any, where: str) -> Verdict:
        known = {verdict.value: verdict for verdict in Verdict}
        if isinstance(raw, str) and raw in known:
            return known[raw]
        self.report(where, raw, "PASS, UNKNOWN or FAIL")
        return Verdict.UNKNOWN

    def integer(self, raw: Any, where: str) -> int:
        if isinstance(raw, int) and not isinstance(raw, bool):
            return raw
        self.report(where, raw, "a whole number")
        return 0

    def real(self, raw: Any, where: str) -> float:
        if isinstance(raw, str) and raw in _NON_FINITE:
            return _NON_FINITE[raw]
        if isinstance(raw, (int, float)) and not isinstance(raw, bool):
            return raw
        self.report(where, raw, 'a number, "NaN", "+Inf" or "-Inf"')
        return 0.0

    def optional_real(self, raw: Any, where: str) -> float | None:
        return None if raw is None else self.real(raw, where)

    def report(self, where: str, got: Any, expected: str) -> None:
        shown = "nothing" if got is None else f"{got!r:.60}"
        self.mistakes.append(Mistake(self.file, where, f"got {shown}, need {expected}"))
