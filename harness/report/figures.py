"""Numbers as people read them: measured and limit, in real and in spec time. None is ``–``: not observed."""

from __future__ import annotations

import math

from harness.clock import format_duration

_MISSING = "–"


def figure(value: float | None, unit: str, missing: str = _MISSING) -> str:
    """``1.25 s``, ``0.02`` or ``missing``; four significant digits, whole numbers in full."""
    if value is None:
        return missing
    return f"{_number(value)} {unit}".rstrip()


def spec_duration(real_s: float | None, time_scale: float) -> str:
    """Real seconds as the stack would count them: ``1m15s`` from a minute on, ``7.5 s`` below."""
    if real_s is None:
        return _MISSING
    spec_s = real_s * time_scale
    if not math.isfinite(spec_s) or abs(spec_s) < 60:
        return figure(spec_s, "s")
    return ("-" if spec_s < 0 else "") + format_duration(round(abs(spec_s)))


def pair(measured: float | None, limit: float | None, unit: str) -> str:
    """``1.25/3.5 s``; without a limit ``1.25 s``; empty when there is neither."""
    if limit is None:
        return "" if measured is None else figure(measured, unit)
    return f"{_number(measured)}/{figure(limit, unit)}"


def spec_pair(measured: float | None, limit: float | None, unit: str, time_scale: float) -> str:
    """The same pair in spec time; empty where it would say nothing new: at scale 1, or when the unit is not seconds."""
    if unit != "s" or time_scale == 1 or (measured is None and limit is None):
        return ""
    shown = spec_duration(measured, time_scale)
    return shown if limit is None else f"{shown}/{spec_duration(limit, time_scale)}"


def _number(value: float | None) -> str:
    if value is None:
        return _MISSING
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if value == int(value) and abs(value) < 1e15:
        return str(int(value))
    return f"{value:.1f}" if 1000 <= abs(value) < 1e15 else f"{value:.4g}"
