"""NVML's event calls on simulated devices: XIDs, each told once to every event set registered for them."""

from __future__ import annotations

import ctypes
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pynvml

from harness.gpu.device import SimulatedDevice

_POLL_S = 0.01


@dataclass(slots=True)
class _EventSet:
    """``seen``: by device, how many of its XIDs were taken over; ``waiting``: taken over, not told yet."""

    seen: dict[int, int] = field(default_factory=dict)
    waiting: deque[tuple[int, int]] = field(default_factory=deque)


class EventSets:
    """The event sets of one library object. An XID raised before a device was registered is not told."""

    def __init__(self, devices: Sequence[SimulatedDevice], *, first_handle: int) -> None:
        self._devices = devices
        self._first_handle = first_handle
        self._sets: dict[int, _EventSet] = {}
        self._next_key = 1
        self._lock = threading.Lock()

    def create(self, out: Any) -> None:
        """nvmlEventSetCreate."""
        with self._lock:
            key, self._next_key = self._next_key, self._next_key + 1
            self._sets[key] = _EventSet()
        ctypes.cast(out, ctypes.POINTER(ctypes.c_void_p))[0] = key

    def register(self, handle: Any, event_types: Any, event_set: Any) -> int | None:
        """nvmlDeviceRegisterEvents; only XIDs occur here, so other types are not supported."""
        registered = self._set(event_set)
        index = _address(handle) - self._first_handle
        if registered is None or not 0 <= index < len(self._devices):
            return int(pynvml.NVML_ERROR_INVALID_ARGUMENT)
        if self._devices[index].is_lost():
            return int(pynvml.NVML_ERROR_GPU_IS_LOST)
        if event_types.value & ~pynvml.nvmlEventTypeXidCriticalError:
            return int(pynvml.NVML_ERROR_NOT_SUPPORTED)
        if event_types.value:
            registered.seen.setdefault(index, self._devices[index].xids_raised())
        return None

    def supported(self, handle: Any, out: Any) -> int | None:
        """nvmlDeviceGetSupportedEventTypes."""
        index = _address(handle) - self._first_handle
        if not 0 <= index < len(self._devices):
            return int(pynvml.NVML_ERROR_INVALID_ARGUMENT)
        if self._devices[index].is_lost():
            return int(pynvml.NVML_ERROR_GPU_IS_LOST)
        out._obj.value = pynvml.nvmlEventTypeXidCriticalError
        return None

    def wait(self, event_set: Any, out: Any, timeout_ms: Any) -> int | None:
        """nvmlEventSetWait_v2: the next event; TIMEOUT when none came, GPU_IS_LOST after the last one."""
        deadline_s = time.monotonic() + timeout_ms.value / 1000
        while True:
            registered = self._set(event_set)
            if registered is None:
                return int(pynvml.NVML_ERROR_INVALID_ARGUMENT)
            lost = any(self._devices[index].is_lost() for index in registered.seen)
            event = self._take(registered)
            if event is not None:
                _put_event(out._obj, address=self._first_handle + event[0], code=event[1])
                return None
            if lost:
                return int(pynvml.NVML_ERROR_GPU_IS_LOST)
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                return int(pynvml.NVML_ERROR_TIMEOUT)
            time.sleep(min(_POLL_S, left_s))

    def free(self, event_set: Any) -> int | None:
        """nvmlEventSetFree; a wait in another thread ends with INVALID_ARGUMENT."""
        with self._lock:
            if self._sets.pop(_address(event_set), None) is None:
                return int(pynvml.NVML_ERROR_INVALID_ARGUMENT)
        return None

    def _set(self, event_set: Any) -> _EventSet | None:
        with self._lock:
            return self._sets.get(_address(event_set))

    def _take(self, registered: _EventSet) -> tuple[int, int] | None:
        with self._lock:
            for index, seen in registered.seen.items():
                if self._devices[index].xids_raised() == seen:
                    continue
                registered.seen[index], codes = self._devices[index].xids_since(seen)
                registered.waiting.extend((index, code) for code in codes)
            return registered.waiting.popleft() if registered.waiting else None


def _address(pointer: Any) -> int:
    return ctypes.cast(pointer, ctypes.c_void_p).value or 0


def _put_event(event: Any, *, address: int, code: int) -> None:
    ctypes.cast(ctypes.byref(event), ctypes.POINTER(ctypes.c_void_p))[0] = address
    event.eventType = pynvml.nvmlEventTypeXidCriticalError
    event.eventData = code
    event.gpuInstanceId = event.computeInstanceId = 0xFFFFFFFF
