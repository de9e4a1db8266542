"""The simulated machine's shared memory: one file that workload, exporter and fault map at the same time.

The layout is fixed (little-endian, C alignment) and holds no pointers, so processes in other PID namespaces
that see the file by a bind mount share the same devices. Exclusion is by open-file-description locks on bytes
behind the mapped part: unlike record locks they are not lost when some other descriptor of the file is
closed, and unlike a lock word in the memory the kernel gives them back when a process is killed.
"""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import struct
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.gpu.errors import GpuUnavailable

MAX_TENANTS = 64
XID_RING = 64
XID_CODES = 512
CHECKPOINTS = 32
_MAGIC = 0x31555047_4D495348
_MAX_DEVICES = 16
# How long the lock may be held by somebody else. A critical section takes well under a millisecond; a holder
# that keeps it this long was stopped inside it (SIGSTOP on an exporter is a fault of its own) and must not
# stop the rest.
_LOCK_PATIENCE_S = 0.25
_LOCK_BYTES = 64
_FLOCK = struct.Struct("hhqqi4x")  # struct flock of 64-bit Linux: type, whence, start, length, pid


class TenantState(ctypes.LittleEndianStructure):
    """A process's claim on a device; it counts while the process holds the lock that belongs to the slot."""

    occupied: int
    pid: int
    pid_namespace: int
    memory_bytes: int
    name: bytes
    _fields_ = (
        ("occupied", ctypes.c_uint32),
        ("pid", ctypes.c_uint32),
        ("pid_namespace", ctypes.c_uint64),
        ("memory_bytes", ctypes.c_uint64),
        ("name", ctypes.c_char * 64),
    )


class DeviceState(ctypes.LittleEndianStructure):
    """One device: when it was last advanced, its temperature, the faults set in it, and who uses it.

    ``*_ns`` are CLOCK_MONOTONIC, which all processes of the machine share. Zero in
    ``cooling_target_celsius``, ``throttle_mhz`` and ``locked_mhz`` means that there is no such fault or
    setting.
    """

    advanced_ns: int
    busy_until_ns: int
    busy_total_ns: int
    checkpoints: ctypes.Array[ctypes.c_uint64]
    temperature_celsius: float
    cooling_target_celsius: float
    memory_taken_ratio: float
    throttle_mask: int
    throttle_mhz: int
    locked_mhz: int
    overheated: int
    lost: int
    persistence: int
    power_violation_ns: int
    thermal_violation_ns: int
    xid_raised: int
    xid_ring: ctypes.Array[ctypes.c_uint32]
    xid_counts: ctypes.Array[ctypes.c_uint32]
    tenants: ctypes.Array[TenantState]
    _fields_ = (
        ("advanced_ns", ctypes.c_uint64),
        ("busy_until_ns", ctypes.c_uint64),
        ("busy_total_ns", ctypes.c_uint64),
        ("checkpoints", ctypes.c_uint64 * CHECKPOINTS),
        ("temperature_celsius", ctypes.c_double),
        ("cooling_target_celsius", ctypes.c_double),
        ("memory_taken_ratio", ctypes.c_double),
        ("throttle_mask", ctypes.c_uint64),
        ("throttle_mhz", ctypes.c_uint32),
        ("locked_mhz", ctypes.c_uint32),
        ("overheated", ctypes.c_uint32),
        ("lost", ctypes.c_uint32),
        ("persistence", ctypes.c_uint32),
        ("power_violation_ns", ctypes.c_uint64),
        ("thermal_violation_ns", ctypes.c_uint64),
        ("xid_raised", ctypes.c_uint64),
        ("xid_ring", ctypes.c_uint32 * XID_RING),
        ("xid_counts", ctypes.c_uint32 * XID_CODES),
        ("tenants", TenantState * MAX_TENANTS),
    )


class _Header(ctypes.LittleEndianStructure):
    magic: int
    device_count: int
    lock_epoch: int
    time_scale: float
    _fields_ = (
        ("magic", ctypes.c_uint64),
        ("device_count", ctypes.c_uint32),
        ("lock_epoch", ctypes.c_uint32),
        ("time_scale", ctypes.c_double),
    )


class StateFile:
    """The mapped file: ``devices`` by index, and ``locked()`` around all that reads or changes them."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Map an existing file. Raises GpuUnavailable when it is missing, unreadable or not such a file."""
        self.path = Path(path)
        try:
            self._fd = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise GpuUnavailable(f"simulated GPU state {self.path}: {error.strerror}") from error
        self._close = weakref.finalize(self, os.close, self._fd)
        size_bytes = os.fstat(self._fd).st_size
        if size_bytes < ctypes.sizeof(_Header):
            raise GpuUnavailable(f"simulated GPU state {self.path}: {size_bytes} bytes, too short for one")
        memory = mmap.mmap(self._fd, 0)
        self._header = _Header.from_buffer(memory)
        count = self._header.device_count
        if self._header.magic != _MAGIC or size_bytes != _size_bytes(count):
            raise GpuUnavailable(f"simulated GPU state {self.path}: not a state file of this version")
        offset = ctypes.sizeof(_Header)
        self.devices = tuple((DeviceState * count).from_buffer(memory, offset))
        self.time_scale = self._header.time_scale
        self._thread_lock = threading.Lock()

    def close(self) -> None:
        """Give the file back; the object must not be used any more."""
        self._close()

    def is_at(self, path: str | os.PathLike[str]) -> bool:
        """Whether the file now at ``path`` is the one mapped here, not a newer one under the same name."""
        try:
            return os.path.samestat(os.fstat(self._fd), os.stat(path))
        except FileNotFoundError:
            return False

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Exclusive use of the state, among threads and processes.

        A holder that does not let go within a quarter of a second is passed over: everybody moves on to the
        next lock byte. When it continues it may still write values that are a moment old, which the next
        advance corrects.
        """
        with self._thread_lock:
            epoch = self._acquire()
            try:
                yield
            finally:
                self._fcntl(fcntl.F_OFD_SETLK, fcntl.F_UNLCK, self._lock_byte(epoch))

    def _acquire(self) -> int:
        patience_until_s = time.monotonic() + _LOCK_PATIENCE_S
        pause_s = 0.0001
        while True:
            epoch = self._header.lock_epoch
            if self._try_lock(self._lock_byte(epoch)):
                if self._header.lock_epoch == epoch:
                    return epoch
                self._fcntl(fcntl.F_OFD_SETLK, fcntl.F_UNLCK, self._lock_byte(epoch))
                continue
            now_s = time.monotonic()
            if now_s >= patience_until_s:
                if self._header.lock_epoch == epoch:
                    self._header.lock_epoch = epoch + 1
                patience_until_s = now_s + _LOCK_PATIENCE_S
            time.sleep(pause_s)
            pause_s = min(pause_s * 2, 0.002)

    def _lock_byte(self, epoch: int) -> int:
        return _size_bytes(len(self.devices)) + epoch % _LOCK_BYTES

    def tenant_byte(self, device_index: int, slot: int) -> int:
        """The byte whose lock says that the tenant in this slot is alive."""
        return _size_bytes(len(self.devices)) + _LOCK_BYTES + device_index * MAX_TENANTS + slot

    def _try_lock(self, byte: int) -> bool:
        try:
            self._fcntl(fcntl.F_OFD_SETLK, fcntl.F_WRLCK, byte)
        except BlockingIOError:
            return False
        return True

    def hold(self, byte: int) -> bool:
        """Whether this object now holds the byte's lock, until ``close`` or the end of its process."""
        return self._try_lock(byte)

    def is_held_elsewhere(self, byte: int) -> bool:
        """Whether somebody but this object holds the byte's lock."""
        kind: int = _FLOCK.unpack(self._fcntl(fcntl.F_OFD_GETLK, fcntl.F_WRLCK, byte))[0]
        return kind != fcntl.F_UNLCK

    def _fcntl(self, command: int, kind: int, byte: int) -> bytes:
        return fcntl.fcntl(self._fd, command, _FLOCK.pack(kind, os.SEEK_SET, byte, 1, 0))


def write_state_file(
    path: str | os.PathLike[str], *, device_count: int, time_scale: float, temperature_celsius: float
) -> None:
    """A new file of idle, healthy devices at ``path``; one that is there is replaced, not changed.

    Processes that map the old file go on with the old devices. Raises ValueError for numbers out of range.
    """
    if not 1 <= device_count <= _MAX_DEVICES:
        raise ValueError(f"device_count: got {device_count}, need 1 to {_MAX_DEVICES}")
    if not 0 < time_scale < float("inf"):
        raise ValueError(f"time_scale: got {time_scale}, need a positive number")
    header = _Header(magic=_MAGIC, device_count=device_count, time_scale=time_scale)
    now_ns = time.monotonic_ns()
    device = DeviceState(
        advanced_ns=now_ns, busy_until_ns=now_ns, temperature_celsius=temperature_celsius, persistence=1
    )
    target = Path(path)
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    part.write_bytes(bytes(header) + bytes(device) * device_count)
    os.replace(part, target)


def _size_bytes(device_count: int) -> int:
    return ctypes.sizeof(_Header) + device_count * ctypes.sizeof(DeviceState)
