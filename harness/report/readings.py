"""Values of a timeline entry as numbers and text, whatever a broken or foreign record holds in their place."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any


def number(value: Any) -> float | None:
    """A finite number; None for anything that has no place on an axis, NaN and infinity among it."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if math.isfinite(value) else None


def text_of(value: Any) -> str:
    """The value itself when it is text, ``–`` for None, otherwise as JSON."""
    if isinstance(value, str):
        return value
    return "–" if value is None else json.dumps(value, ensure_ascii=False, default=str)


def texts_of(value: Any) -> dict[str, str]:
    """A mapping such as a label set as text; empty for anything that is not one."""
    return {str(key): text_of(item) for key, item in value.items()} if isinstance(value, Mapping) else {}
