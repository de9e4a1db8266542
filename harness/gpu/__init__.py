"""The one door to the GPU: NVML through pynvml, on the real library or on a simulated device.

The environment variable ``SIMULATED_GPU`` names the state file of simulated devices (made by ``create``).
Without it the real library is used and nothing is simulated.

>>> from harness import gpu
>>> connection = gpu.connect()          # now pynvml can be called
>>> connection.simulated, connection.name
(False, 'NVIDIA H100 80GB HBM3')
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import pynvml

from harness.gpu.device import THROTTLE_MASKS, Reading, SimulatedDevice, TenantReading, create
from harness.gpu.errors import GpuLostError, GpuUnavailable
from harness.gpu.nvml import install, installed, uninstall
from harness.gpu.tenants import Claim, Tenant

STATE_VARIABLE = "SIMULATED_GPU"


@dataclass(frozen=True, slots=True)
class Connection:
    """What pynvml now talks to. ``name``: of device 0, None when that device cannot be read."""

    simulated: bool
    name: str | None
    device_count: int


def connect() -> Connection:
    """pynvml, initialised: on the simulated devices where ``SIMULATED_GPU`` names them, else on real ones.

    Each call counts as one ``nvmlInit``. Raises GpuUnavailable, chained from the cause, when there is no
    driver, no device or no such state file.
    """
    path = os.environ.get(STATE_VARIABLE)
    if path:
        install(path)
    try:
        pynvml.nvmlInit()
        count = pynvml.nvmlDeviceGetCount()
    except pynvml.NVMLError as error:
        raise GpuUnavailable(f"NVML cannot be used: {error}") from error
    if not count:
        raise GpuUnavailable("NVML works but finds no GPU")
    return Connection(simulated=bool(path), name=_first_name(), device_count=count)


def tenant(*, name: str, memory_bytes: int) -> Tenant:
    """This process's work on device 0: simulated where ``SIMULATED_GPU`` is set, else one that does nothing.

    Raises GpuUnavailable when the variable names no readable state file.
    """
    path = os.environ.get(STATE_VARIABLE)
    return Tenant(Claim(path, name=name, memory_bytes=memory_bytes) if path else None)


def _first_name() -> str | None:
    try:
        return str(pynvml.nvmlDeviceGetName(pynvml.nvmlDeviceGetHandleByIndex(0)))
    except pynvml.NVMLError:
        return None


__all__ = [
    "STATE_VARIABLE",
    "THROTTLE_MASKS",
    "Connection",
    "GpuLostError",
    "GpuUnavailable",
    "Reading",
    "SimulatedDevice",
    "Tenant",
    "TenantReading",
    "connect",
    "create",
    "install",
    "installed",
    "tenant",
    "uninstall",
]
