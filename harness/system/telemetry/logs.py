"""Structured logs: one JSON object a line on standard output.

>>> from harness.system.telemetry.logs import configure_logs, get_logger
>>> configure_logs("inference")
>>> get_logger().info("model loaded", model_name="demo-lm")  # doctest: +SKIP
{"timestamp":"2026-01-01T00:00:00.000000Z","service":"inference","level":"info","message":"model loaded",…}
"""

from __future__ import annotations

import json
import logging
import math
import sys
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import structlog

# What a line always begins with, in this order.
_FIRST = ("timestamp", "service", "level", "message")


def configure_logs(service: str, level: str = "info") -> None:
    """From now on every log call of this process, structlog's or the standard library's, is one JSON line.

    Raises ValueError for a level that ``logging`` does not know.
    """
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise ValueError(f"log level {level!r}: need one of debug, info, warning, error, critical")
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.stdlib.ExtraAdder(),
        _add_exception,
        _as_specified(service),
    ]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _render],
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(number)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers[:] = []
        logging.getLogger(name).propagate = True
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *[processor for processor in shared if not isinstance(processor, structlog.stdlib.ExtraAdder)],
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def get_logger(**fields: Any) -> structlog.stdlib.BoundLogger:
    """A logger whose lines all carry these fields."""
    logger: structlog.stdlib.BoundLogger = structlog.get_logger(**fields)
    return logger


def _add_exception(logger: Any, name: str, event: dict[str, Any]) -> dict[str, Any]:
    """``exception``, ``error_type`` and ``traceback`` of what is being handled, where the call asked for them."""
    info = event.pop("exc_info", None)
    if info is True:
        info = sys.exc_info()
    error = info[1] if isinstance(info, tuple) else info
    if isinstance(error, BaseException):
        event["exception"] = str(error)
        event["error_type"] = type(error).__name__
        event["traceback"] = "".join(traceback.format_exception(error))
    return event


def _as_specified(service: str) -> Any:
    def process(logger: Any, name: str, event: dict[str, Any]) -> dict[str, Any]:
        # A field of the caller's must not replace what identifies the line.
        taken = {f"field_{key}": event.pop(key) for key in ("timestamp", "service", "message") if key in event}
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        message = event.pop("event", "")
        return {"timestamp": now, "service": service, "level": event.pop("level", "info"), "message": message, **event, **taken}

    return process


def _render(logger: Any, name: str, event: Mapping[str, Any]) -> str:
    """One line whatever the values are: JSON escapes line ends, and what JSON does not know becomes text."""
    ordered = {key: event[key] for key in _FIRST if key in event}
    ordered.update({str(key): value for key, value in event.items() if key not in _FIRST and not str(key).startswith("_")})
    return json.dumps({key: _plain(value) for key, value in ordered.items()}, ensure_ascii=False, allow_nan=False)


def _plain(value: Any, depth: int = 0) -> Any:
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, str):
        # A lone surrogate has no UTF-8 form and would make the write fail.
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if depth < 6 and isinstance(value, Mapping):
        return {str(key): _plain(item, depth + 1) for key, item in value.items()}
    if depth < 6 and isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item, depth + 1) for item in value]
    try:
        return _plain(repr(value), depth)
    except Exception as error:  # noqa: BLE001 - a value that cannot even be shown must not cost the line
        return f"<{type(value).__name__} whose repr raised {type(error).__name__}>"
