"""The notifications a receiver keeps: numbered in memory, and in a file where it has a directory."""

from __future__ import annotations

import errno
import json
import os
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from prometheus_client import CollectorRegistry, Counter

from harness.system.telemetry.logs import get_logger

# Memory keeps this many of the newest; a file keeps all.
MAX_KEPT = 20_000
# Receivers are named by configuration, but a body can claim any name: beyond these they share one series.
MAX_RECEIVER_LABELS = 50
_MAX_PATH = 200
FILE_NAME = "notifications.jsonl"


class RejectedNotification(ValueError):
    """A body that is no notification; the message says why."""


def parse_notification(body: bytes) -> dict[str, Any]:
    """The body of a webhook, at least its ``receiver`` and its ``alerts`` with ``labels`` as Alertmanager writes them.

    Raises RejectedNotification. Source: prometheus.io/docs/alerting/latest/configuration/#webhook_config.
    """
    try:
        parsed = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise RejectedNotification(f"the body is not JSON: {error}") from error
    if not isinstance(parsed, dict):
        raise RejectedNotification("the body is no JSON object")
    if not isinstance(parsed.get("receiver"), str):
        raise RejectedNotification("receiver: need the receiver's name")
    alerts = parsed.get("alerts")
    if not isinstance(alerts, list):
        raise RejectedNotification("alerts: need a list")
    for index, alert in enumerate(alerts):
        if not isinstance(alert, dict) or not isinstance(alert.get("labels"), dict):
            raise RejectedNotification(f"alerts[{index}].labels: need an object")
    return parsed


class Inbox:
    """Notifications in the order of their arrival, numbered from 1. Safe for several threads.

    With a directory, those of earlier runs are there again under their numbers. A volume that takes no more costs
    lines of the file, which are logged, and never a notification in memory.
    """

    def __init__(self, directory: Path | None, registry: CollectorRegistry) -> None:
        """Raises OSError when the directory cannot be used."""
        self._lock = threading.Lock()
        self._kept: deque[dict[str, Any]] = deque(maxlen=MAX_KEPT)
        self._receivers: set[str] = set()
        self._received = Counter(
            "notifications_received", "Deliveries taken.", ["receiver", "status"], registry=registry
        )
        self._rejected = Counter("notifications_rejected", "Deliveries that were no notification.", registry=registry)
        self._file: _LineFile | None = None
        if directory is not None:
            directory.mkdir(parents=True, exist_ok=True)
            self._file = _LineFile(directory / FILE_NAME)
            self._kept.extend(_read_kept(directory / FILE_NAME))
        self._last: int = self._kept[-1]["seq"] if self._kept else 0

    def take(self, *, path: str, body: dict[str, Any], arrived_unix_s: float) -> None:
        """Keep one delivery."""
        receiver = body["receiver"]
        status = "resolved" if body.get("status") == "resolved" else "firing"
        with self._lock:
            self._last += 1
            kept = {
                "seq": self._last,
                "arrived_unix_s": arrived_unix_s,
                "path": path[:_MAX_PATH],
                "receiver": receiver,
                "body": body,
            }
            self._kept.append(kept)
            if self._file is not None:
                self._file.append(json.dumps(kept).encode() + b"\n")
            if len(self._receivers) < MAX_RECEIVER_LABELS:
                self._receivers.add(receiver)
            label = receiver if receiver in self._receivers else "other"
        # A lone surrogate, which JSON can carry, has no place in the text of a scrape.
        self._received.labels(receiver=label.encode("utf-8", "replace").decode(), status=status).inc()
        names = sorted({str(alert["labels"].get("alertname")) for alert in body["alerts"]})
        get_logger().info("notification", seq=kept["seq"], receiver=receiver, status=status, alerts=names)

    def reject(self, *, path: str, problem: str) -> None:
        """Count a delivery that was no notification."""
        self._rejected.inc()
        get_logger().warning("notification rejected", path=path[:_MAX_PATH], problem=problem)

    def after(self, number: int) -> dict[str, Any]:
        """Those numbered above ``number``, oldest first, and the number of the latest of all."""
        with self._lock:
            return {"notifications": [kept for kept in self._kept if kept["seq"] > number], "last": self._last}


class _LineFile:
    """Appends whole lines: one that does not fit on the volume leaves no half of it behind."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._failing = False
        size = os.fstat(self._descriptor).st_size
        if size and os.pread(self._descriptor, 1, size - 1) != b"\n":
            # The run before was killed within its last line; the next must not be glued to it.
            os.write(self._descriptor, b"\n")

    def append(self, line: bytes) -> None:
        """Write it, or log once that it cannot be written."""
        try:
            size = os.fstat(self._descriptor).st_size
            if os.write(self._descriptor, line) < len(line):
                os.ftruncate(self._descriptor, size)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
        except OSError as error:
            if not self._failing:
                get_logger().error("notifications cannot be written", path=self._path, exc_info=error)
            self._failing = True
        else:
            if self._failing:
                get_logger().info("notifications are written again", path=self._path)
            self._failing = False


def _read_kept(path: Path) -> Iterator[dict[str, Any]]:
    """The notifications of earlier runs; what is no line of ours is logged and left out."""
    last = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                kept = json.loads(line)
                if not isinstance(kept["seq"], int) or kept["seq"] <= last:
                    raise ValueError(f"seq: got {kept['seq']!r}, need a number above {last}")
            except (ValueError, KeyError, TypeError) as error:
                get_logger().warning("line of notifications left out", path=path, line=number, problem=str(error))
                continue
            last = kept["seq"]
            yield kept


def _refuse_constant(name: str) -> NoReturn:
    # Python would read NaN and Infinity, and write them where no other JSON reader takes them.
    raise ValueError(f"{name} is no JSON value")
