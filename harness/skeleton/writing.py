"""Drafts → experiment files that a person can read and finish."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.skeleton.drafting import Draft, Step


def file_names(drafts: Sequence[Draft]) -> tuple[str, ...]:
    """A file's name for each draft, after its alert: lower case, in words; the second of one name ends in ``-2``."""
    seen: dict[str, int] = {}
    names = []
    for draft in drafts:
        words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", draft.alert)
        stem = re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")[:80] or "alert"
        seen[stem] = seen.get(stem, 0) + 1
        names.append(f"{stem}.yaml" if seen[stem] == 1 else f"{stem}-{seen[stem]}.yaml")
    return tuple(names)


def write_drafts(drafts: Sequence[Draft], directory: Path) -> Iterator[tuple[Path, Draft, bool]]:
    """Each file with its draft, and whether it was written: one that is there already is left as it is."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, draft in zip(file_names(drafts), drafts, strict=True):
        path = directory / name
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(_text(draft))
        except FileExistsError:
            yield path, draft, False
        else:
            yield path, draft, True


def _text(draft: Draft) -> str:
    lines = [
        f"title: {_scalar(f'{draft.alert} is told when its cause is there')}",
        f"description: {_scalar(f'Drafted from the rule: {draft.because}.')}",
        *(f"# The rule: {line}" for line in draft.expr.strip().splitlines()),
        *(f"# TODO: {todo}." for todo in draft.todo),
        "method:",
    ]
    for number, step in enumerate(draft.steps, start=1):
        lines += _activity(f"{number}-{step.function.lower().replace('_', '-')}", step)
    lines += _activity("hold-until-notified", Step("hold", {"alerts": [draft.alert]}))
    lines += ["rollbacks:", *_activity("undo", Step("undo_faults", {}))]
    told = {"alert": draft.alert, **({"receiver": draft.receiver} if draft.receiver else {})}
    return "\n".join(
        [
            *lines,
            "extensions:",
            "  - name: harness",
            "    expect:",
            "      alerts:",
            f"        - {_flow(told)}",
            "      # What users may feel meanwhile:",
            "      # load:",
            "      #   during: {p95: 1s, error_ratio: 0.01}",
            "    # Other alerts that may fire as well:",
            f"    allow: {_value(list(draft.allow))}",
            "",
        ]
    )


def _activity(name: str, step: Step) -> list[str]:
    lines = [
        "  - type: action",
        f"    name: {_scalar(name)}",
        "    provider:",
        "      type: python",
        "      module: harness.chaos",
        f"      func: {step.function}",
    ]
    return [*lines, f"      arguments: {_flow(step.arguments)}"] if step.arguments else lines


def _flow(values: Mapping[str, Any]) -> str:
    return "{" + ", ".join(f"{key}: {_value(value)}" for key, value in values.items()) + "}"


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return _flow(value)
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return _scalar(value) if isinstance(value, str) else json.dumps(value)


def _scalar(text: str) -> str:
    """Text as YAML: bare where nothing in it can be taken for anything else, else quoted as JSON does."""
    plain = re.fullmatch(r"[A-Za-z][\w./-]*( [\w./-]+)*", text) and text.lower() not in _WORDS
    return text if plain else json.dumps(text, ensure_ascii=False)


_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})
