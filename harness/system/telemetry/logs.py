"""Structured logs: one JSON object a line on standard output.

>>> from harness.system.telemetry.logs import configure_logs, get_logger
>>> configure_logs("inference")
>>> get_logger().info("model loaded", model_name="demo-lm")  # doctest: +SKIP
{"timestamp": "2026-01-01T00:00:00.000000Z", "service": "inference", "level": "info", "message": "model loaded", …}
"""

from __future__ import annotations

import json
import logging
import math
import numbers
import os
import sys
import threading
import traceback
from collections.abc import Mapping
from datetime import UTC, date, datetime
from types import TracebackType
from typing import Any

import structlog

# What a line always begins with, in this order.
_FIRST = ("timestamp", "service", "level", "message")
_MAX_DEPTH = 6


def configure_logs(service: str, level: str = "info") -> None:
    """From now on every log call of this process, structlog's or the standard library's, is one JSON line.

    So is an exception that ends the process or a thread. A call never raises for what it is given to log: a
    message that does not fit its arguments is logged with them beside it. A caller's field that would replace
    what identifies the line, or whose name begins with ``_`` (stores keep those to themselves), is kept as
    ``field_<name>``.

    Raises ValueError for a level that ``logging`` does not know.
    """
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise ValueError(f"log level {level!r}: need one of debug, info, warning, error, critical")
    own: list[Any] = [structlog.contextvars.merge_contextvars]
    shared: list[Any] = [
        _keep_fields_apart,
        structlog.stdlib.add_log_level,
        _fill_in_arguments,
        _add_exception,
        _identify(service),
    ]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*own, structlog.stdlib.ExtraAdder(), *shared],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _render],
        use_get_message=False,  # it raises when the arguments do not fit, and the line would be lost
        pass_foreign_args=True,
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
            *own,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    logging.captureWarnings(True)
    if sys.excepthook is sys.__excepthook__:  # else somebody has use for it
        sys.excepthook = _log_uncaught
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = _log_uncaught_in_thread


def get_logger(**fields: Any) -> structlog.stdlib.BoundLogger:
    """A logger whose lines all carry these fields."""
    logger: structlog.stdlib.BoundLogger = structlog.get_logger(**fields)
    return logger


def _log_uncaught(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    if error is not None and not issubclass(kind, (KeyboardInterrupt, SystemExit)):
        get_logger().critical("uncaught exception", exc_info=(kind, error, trace))


def _log_uncaught_in_thread(thrown: threading.ExceptHookArgs) -> None:
    if thrown.exc_value is not None and not issubclass(thrown.exc_type, SystemExit):
        name = thrown.thread.name if thrown.thread else None
        get_logger().error("uncaught exception in a thread", thread=name, exc_info=thrown.exc_value)


def _keep_fields_apart(logger: Any, name: str, event: dict[str, Any]) -> dict[str, Any]:
    """The caller's fields under names of their own. Must run before anything adds the line's."""
    # uvicorn says everything twice, the second time with colours.
    event.pop("color_message", None)
    ours = ("_record", "_from_structlog")
    taken = [key for key in event if (key in _FIRST or str(key).startswith("_")) and key not in ours]
    for key in taken:
        event[f"field_{key}"] = event.pop(key)
    return event


def _fill_in_arguments(logger: Any, name: str, event: dict[str, Any]) -> dict[str, Any]:
    """The message with its positional arguments, as ``logging`` fills them in."""
    arguments = event.pop("positional_args", None)
    if not arguments:
        return event
    # logging hands on a single mapping as it is, structlog in a tuple.
    if isinstance(arguments, tuple) and len(arguments) == 1 and isinstance(arguments[0], Mapping):
        arguments = arguments[0] or arguments
    try:
        event["event"] = event["event"] % arguments
    except Exception:  # noqa: BLE001 - also the arguments' own code runs here, and a log call must never raise
        event["arguments"] = arguments
    return event


def _add_exception(logger: Any, name: str, event: dict[str, Any]) -> dict[str, Any]:
    """``exception``, ``error_type`` and ``traceback`` of what is being handled, where the call asked for them."""
    info = event.pop("exc_info", None)
    if info is True:
        info = sys.exc_info()
    error = info[1] if isinstance(info, tuple) and len(info) == 3 else info
    if isinstance(error, BaseException):
        event["exception"] = _shown(error, str)
        event["error_type"] = type(error).__name__
        event["traceback"] = _shown(error, lambda it: "".join(traceback.format_exception(it)))
    return event


def _identify(service: str) -> Any:
    def process(logger: Any, name: str, event: dict[str, Any]) -> dict[str, Any]:
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        message = _shown(event.pop("event", None), lambda it: "" if it is None else str(it))
        return {"timestamp": now, "service": service, "message": message, **event}

    return process


def _render(logger: Any, name: str, event: Mapping[str, Any]) -> str:
    """One line whatever the values are: JSON escapes line ends, and what JSON does not know becomes text."""
    ordered = {key: event[key] for key in _FIRST if key in event}
    ordered.update(event)
    plain = {_text(key): _plain(value) for key, value in ordered.items()}
    # ASCII alone: whatever standard output's encoding, nothing is refused, and U+2028, U+0085 and their like,
    # which some readers take for the end of a line, are escaped.
    return json.dumps(plain, ensure_ascii=True, allow_nan=False)


def _plain(value: Any, depth: int = 0) -> Any:
    """The value as JSON knows it; a structure too deep, and anything unknown, as text."""
    try:
        return _converted(value, depth)
    except Exception as error:  # noqa: BLE001 - a value that cannot even be shown must not cost the line
        return f"<{type(value).__name__} that cannot be shown: {type(error).__name__}>"


def _converted(value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, numbers.Integral):
        whole = int(value)
        # Beyond 64 bits no log store takes a number, and beyond 4300 digits Python writes none.
        return whole if -(2**63) <= whole < 2**63 else hex(whole)
    if isinstance(value, numbers.Real):
        return float(value) if math.isfinite(value) else str(float(value))
    if depth < _MAX_DEPTH and isinstance(value, Mapping):
        return {_text(key): _plain(item, depth + 1) for key, item in value.items()}
    if depth < _MAX_DEPTH and isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item, depth + 1) for item in value]
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    return _text(value if isinstance(value, os.PathLike) else repr(value))


def _text(value: Any) -> str:
    # A lone surrogate has no UTF-8 form and would make the write fail.
    return _shown(value, str).encode("utf-8", "backslashreplace").decode("utf-8")


def _shown(value: Any, show: Any) -> str:
    try:
        return str(show(value))
    except Exception as error:  # noqa: BLE001 - the code of whatever is logged runs here
        return f"<{type(value).__name__} that cannot be shown: {type(error).__name__}>"
