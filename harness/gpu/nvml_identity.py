"""The per-device C functions of NVML that say which device it is."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pynvml

from harness.gpu import physics
from harness.gpu.device import Reading

_PCI_DEVICE_ID = 0x233010DE  # H100 SXM5, as lspci numbers it
_PCI_SUBSYSTEM_ID = 0x16C110DE


@dataclass(frozen=True, slots=True)
class Identity:
    """What tells one device from another; the same in every process that opens the same state file's name."""

    index: int
    uuid: str
    serial: str
    pci_bus_id: str

    @classmethod
    def of(cls, path: str | os.PathLike[str], index: int) -> Identity:
        """The identity of a device by the state file's own inode, which a bind mount does not change."""
        status = Path(path).stat()
        number = uuid.uuid5(uuid.NAMESPACE_OID, f"simulated-gpu/{status.st_dev}/{status.st_ino}/{index}")
        return cls(
            index=index,
            uuid=f"GPU-{number}",
            serial=f"{number.int % 10**13:013d}",
            pci_bus_id=f"00000000:{index + 1:02X}:00.0",
        )


def _name(_: Reading, identity: Identity, buffer: Any, size: Any) -> int | None:
    return _text(physics.NAME, buffer, size)


def _uuid(_: Reading, identity: Identity, buffer: Any, size: Any) -> int | None:
    return _text(identity.uuid, buffer, size)


def _serial(_: Reading, identity: Identity, buffer: Any, size: Any) -> int | None:
    return _text(identity.serial, buffer, size)


def _text(text: str, buffer: Any, size: Any) -> int | None:
    if size.value <= len(text):
        return int(pynvml.NVML_ERROR_INSUFFICIENT_SIZE)
    buffer.value = text.encode()
    return None


def _index(_: Reading, identity: Identity, out: Any) -> None:
    out._obj.value = identity.index


def _pci_info(_: Reading, identity: Identity, out: Any) -> None:
    info = out._obj
    info.busId = identity.pci_bus_id
    info.busIdLegacy = identity.pci_bus_id[4:]
    info.domain, info.bus, info.device = 0, identity.index + 1, 0
    info.pciDeviceId, info.pciSubSystemId = _PCI_DEVICE_ID, _PCI_SUBSYSTEM_ID


IDENTITY: Mapping[str, Callable[..., int | None]] = {
    "nvmlDeviceGetName": _name,
    "nvmlDeviceGetUUID": _uuid,
    "nvmlDeviceGetSerial": _serial,
    "nvmlDeviceGetIndex": _index,
    "nvmlDeviceGetMinorNumber": _index,
    "nvmlDeviceGetPciInfo_v3": _pci_info,
}
