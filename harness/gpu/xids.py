"""XID errors as they happen, from NVML's events."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import pynvml

_WAIT_MS = 250
_RETRY_S = 1.0
_STOP_TIMEOUT_S = 5.0


class XidWatch:
    """Calls ``on_xid(index, code)`` from a thread of its own for every XID, repeats included, while it runs.

    Devices that are lost, or NVML as a whole, are tried again until they can be watched. XIDs raised while a
    device was not watched are not told: NVML keeps none.

    >>> with XidWatch(lambda index, code: print(index, code)):
    ...     train()
    """

    def __init__(self, on_xid: Callable[[int, int], None]) -> None:
        """pynvml has to be initialised when it starts, and on its return from a failure."""
        self._on_xid = on_xid
        self._stopping = threading.Event()
        self._watching = threading.Event()
        self._thread = threading.Thread(target=self._run, name="xid-watch", daemon=True)

    def start(self) -> None:
        """Begin to watch; it may take a moment until ``wait_until_watching``."""
        self._thread.start()

    def wait_until_watching(self, timeout_s: float) -> bool:
        """Whether at least one device was registered for events within this time."""
        return self._watching.wait(timeout_s)

    def stop(self) -> None:
        """End the thread; it leaves at its next look at NVML."""
        self._stopping.set()
        self._thread.join(_STOP_TIMEOUT_S)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self) -> None:
        while not self._stopping.is_set():
            watched: dict[int, int] = {}
            with suppress(pynvml.NVMLError):
                self._watch(watched)
            # One lost device ends the wait for all of them: begin again at once with the rest.
            if not watched:
                self._stopping.wait(_RETRY_S)

    def _watch(self, watched: dict[int, int]) -> None:
        """Tell events until NVML fails; ``watched`` maps a handle's address to the device's number."""
        count = pynvml.nvmlDeviceGetCount()
        event_set = pynvml.nvmlEventSetCreate()
        try:
            while not self._stopping.is_set():
                if len(watched) < count:
                    _register_missing(event_set, watched, count)
                if not watched:
                    return
                self._watching.set()
                try:
                    event = pynvml.nvmlEventSetWait_v2(event_set, _WAIT_MS)
                except pynvml.NVMLError_Timeout:
                    continue
                if event.eventType == pynvml.nvmlEventTypeXidCriticalError:
                    self._on_xid(watched[_address(event.device)], int(event.eventData))
        finally:
            with suppress(pynvml.NVMLError):
                pynvml.nvmlEventSetFree(event_set)


def _register_missing(event_set: Any, watched: dict[int, int], count: int) -> None:
    for index in set(range(count)) - set(watched.values()):
        # A device that is lost, or too old for events, must not keep the others from being watched.
        with suppress(pynvml.NVMLError):
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            pynvml.nvmlDeviceRegisterEvents(handle, pynvml.nvmlEventTypeXidCriticalError, event_set)
            watched[_address(handle)] = index


def _address(handle: Any) -> int:
    return ctypes.cast(handle, ctypes.c_void_p).value or 0
