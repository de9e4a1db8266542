"""NVML's C functions on a simulated device, put where pynvml keeps the real library.

Only ``pynvml.nvmlLib`` is replaced: pynvml's wrappers, structures and errors stay the real ones. Every
function takes what pynvml passes to C (``byref`` results, structures, numbers) and returns NVML's status
codes.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pynvml

from harness.gpu.device import Reading, SimulatedDevice
from harness.gpu.nvml_events import EventSets
from harness.gpu.nvml_identity import Identity
from harness.gpu.nvml_readings import ACTIONS, READINGS
from harness.gpu.state import StateFile

DRIVER_VERSION = b"560.35.05"
NVML_VERSION = b"12.560.35.05"
CUDA_DRIVER_VERSION = 12060
_FIRST_HANDLE = 0x1000


def install(path: str | os.PathLike[str]) -> None:
    """From now on pynvml talks to the simulated devices of this state file.

    Installing the same file again changes nothing; another file replaces the first. Raises GpuUnavailable
    when it cannot be read.
    """
    library = pynvml.nvmlLib
    if isinstance(library, SimulatedNvml) and library.file.is_at(path):
        return
    _replace_library(SimulatedNvml(StateFile(path)))


def uninstall() -> None:
    """pynvml looks for the real library again at its next ``nvmlInit``. Nothing when none was installed."""
    if isinstance(pynvml.nvmlLib, SimulatedNvml):
        _replace_library(None)


@contextmanager
def installed(path: str | os.PathLike[str]) -> Iterator[None]:
    """pynvml talks to the simulated devices inside the block; what was there before comes back."""
    before, uses = pynvml.nvmlLib, pynvml._nvmlLib_refcount
    _replace_library(SimulatedNvml(StateFile(path)))
    try:
        pynvml.nvmlInit()
        yield
    finally:
        _replace_library(before)
        pynvml._nvmlLib_refcount = uses


class SimulatedNvml:
    """The library object: its attributes are the C functions; what it lacks is FUNCTION_NOT_FOUND."""

    def __init__(self, file: StateFile) -> None:
        self.file = file
        self._devices = [SimulatedDevice(file.path, index, file=file) for index in range(len(file.devices))]
        self._identities = [Identity.of(file.path, index) for index in range(len(file.devices))]
        self._events = EventSets(self._devices, first_handle=_FIRST_HANDLE)
        self._uses = 0
        # Partials, not methods: pynvml sets ``restype`` on what it gets, as on a ctypes function.
        functions: dict[str, Callable[..., int | bytes | None]] = {
            "nvmlInitWithFlags": self._init,
            "nvmlInit_v2": partial(self._init, 0),
            "nvmlShutdown": self._shutdown,
            "nvmlErrorString": _error_string,
            "nvmlSystemGetDriverVersion": partial(_put_bytes, DRIVER_VERSION),
            "nvmlSystemGetNVMLVersion": partial(_put_bytes, NVML_VERSION),
            "nvmlSystemGetCudaDriverVersion": partial(_put, CUDA_DRIVER_VERSION),
            "nvmlSystemGetCudaDriverVersion_v2": partial(_put, CUDA_DRIVER_VERSION),
            "nvmlDeviceGetCount_v2": partial(_put, len(self._devices)),
            "nvmlDeviceGetHandleByIndex_v2": self._by_index,
            "nvmlDeviceGetHandleByUUID": partial(self._by_name, "uuid"),
            "nvmlDeviceGetHandleByPciBusId_v2": partial(self._by_name, "pci_bus_id"),
            "nvmlEventSetCreate": self._events.create,
            "nvmlDeviceRegisterEvents": self._events.register,
            "nvmlDeviceGetSupportedEventTypes": self._events.supported,
            "nvmlEventSetWait_v2": self._events.wait,
            "nvmlEventSetFree": self._events.free,
        }
        for name, read in READINGS.items():
            functions[name] = partial(self._read, read)
        for name, act in ACTIONS.items():
            functions[name] = partial(self._act, act)
        self._functions = {name: self._exported(name, function) for name, function in functions.items()}

    def __getattr__(self, name: str) -> Callable[..., int | bytes]:
        try:
            return self._functions[name]
        except KeyError:
            raise AttributeError(f"the simulated NVML has no function {name}") from None

    def _exported(self, name: str, function: Callable[..., int | bytes | None]) -> Callable[..., int | bytes]:
        always = name.startswith("nvmlInit") or name == "nvmlErrorString"
        return partial(self._call, function, always)

    def _call(self, function: Callable[..., int | bytes | None], always: bool, *arguments: Any) -> int | bytes:
        if not (always or self._uses):
            return int(pynvml.NVML_ERROR_UNINITIALIZED)
        status = function(*arguments)
        return int(pynvml.NVML_SUCCESS) if status is None else status

    def _init(self, _flags: int) -> None:
        self._uses += 1

    def _shutdown(self) -> None:
        self._uses -= 1

    def _by_index(self, index: Any, out: Any) -> int | None:
        if index.value >= len(self._devices):
            return int(pynvml.NVML_ERROR_INVALID_ARGUMENT)
        return self._put_handle(index.value, out)

    def _by_name(self, attribute: str, wanted: Any, out: Any) -> int | None:
        for index, identity in enumerate(self._identities):
            if wanted.value is not None and wanted.value.decode().lower() == getattr(identity, attribute).lower():
                return self._put_handle(index, out)
        return int(pynvml.NVML_ERROR_NOT_FOUND)

    def _put_handle(self, index: int, out: Any) -> int | None:
        if self._devices[index].is_lost():
            return int(pynvml.NVML_ERROR_GPU_IS_LOST)
        # The structure behind a handle is opaque; the pointer itself carries the index.
        ctypes.cast(out, ctypes.POINTER(ctypes.c_void_p))[0] = _FIRST_HANDLE + index
        return None

    def _index_of(self, handle: Any) -> int | None:
        address = ctypes.cast(handle, ctypes.c_void_p).value or 0
        index = address - _FIRST_HANDLE
        return index if 0 <= index < len(self._devices) else None

    def _read(self, read: Callable[..., int | None], handle: Any, *arguments: Any) -> int | None:
        index = self._index_of(handle)
        if index is None:
            return int(pynvml.NVML_ERROR_INVALID_ARGUMENT)
        reading: Reading = self._devices[index].reading()
        if reading.lost:
            return int(pynvml.NVML_ERROR_GPU_IS_LOST)
        return read(reading, self._identities[index], *arguments)

    def _act(self, act: Callable[..., int | None], handle: Any, *arguments: Any) -> int | None:
        index = self._index_of(handle)
        if index is None:
            return int(pynvml.NVML_ERROR_INVALID_ARGUMENT)
        if self._devices[index].is_lost():
            return int(pynvml.NVML_ERROR_GPU_IS_LOST)
        return act(self._devices[index], *arguments)


def _replace_library(library: Any) -> None:
    pynvml.nvmlLib = library
    pynvml._nvmlLib_refcount = 0
    # pynvml keeps the functions it looked up; those of another library must not stay.
    pynvml._nvmlGetFunctionPointer_cache.clear()


def _error_string(status: int) -> bytes:
    text = pynvml.NVMLError._errcode_to_string.get(status, "Unknown Error")
    return str(text).encode()


def _put(value: int, out: Any) -> None:
    out._obj.value = value


def _put_bytes(value: bytes, buffer: Any, size: Any) -> int | None:
    if size.value <= len(value):
        return int(pynvml.NVML_ERROR_INSUFFICIENT_SIZE)
    buffer.value = value
    return None
