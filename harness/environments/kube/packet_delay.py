"""Packets that leave later: what the kernel hands over through a queue is given back after a while.

    python -m harness.environments.kube.packet_delay --delay-ms 200

Runs in the network whose packets it delays, beside rules with the target ``NFQUEUE --queue-bypass``: where it has
ended, be it by SIGKILL, packets pass at once. It sees their numbers, not what is in them. SIGTERM lets all go and ends
it.

Source of formats: Linux, ``linux/netlink.h``, ``linux/netfilter/nfnetlink.h`` and ``nfnetlink_queue.h``.
"""

from __future__ import annotations

import argparse
import errno
import os
import select
import signal
import socket
import struct
import time
from collections import deque
from collections.abc import Iterator

QUEUE = 7
# Nobody's fault lasts longer, and a program that is forgotten does not either.
_LONGEST_S = 3600.0
# More of them pass at once: the network is to be slow, not broken.
_MOST_HELD = 65536
_BUFFER_BYTES = 4 << 20  # the kernel gives what it allows

_NETLINK_NETFILTER = 12
_REQUEST, _ACK = 1, 4
_ERROR = 2
# Messages of the queue's own subsystem.
_QUEUE_SUBSYSTEM = 3 << 8
_PACKET, _CONFIG, _VERDICTS = (_QUEUE_SUBSYSTEM | number for number in (0, 2, 3))
_CONFIG_COMMAND, _CONFIG_PARAMS, _CONFIG_MOST, _CONFIG_MASK, _CONFIG_FLAGS = range(1, 6)
_FAIL_OPEN = struct.pack(">I", 1)
_BIND, _COPY_META = 1, 1
_PACKET_HEADER, _VERDICT_HEADER = 1, 2
_ACCEPT = 1


class PacketQueue:
    """The kernel's queue of packets of this network. Raises OSError where it has none or another program has it."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        self._socket.bind((0, 0))
        self._configure(_attribute(_CONFIG_COMMAND, struct.pack(">BxH", _BIND, 0)))
        self._configure(_attribute(_CONFIG_PARAMS, struct.pack(">IB", 0, _COPY_META)))
        self._configure(_attribute(_CONFIG_MOST, struct.pack(">I", _MOST_HELD)))
        self._configure(b"".join(_attribute(each, _FAIL_OPEN) for each in (_CONFIG_MASK, _CONFIG_FLAGS)))

    def fileno(self) -> int:
        """For ``select``."""
        return self._socket.fileno()

    def numbers(self) -> list[int]:
        """The numbers of packets that wait, in their order; waits for the first."""
        try:
            data = self._socket.recv(1 << 16)
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
            return []  # of those it could not tell us, the kernel let pass what it did not queue
        return [number for kind, body in _messages(data) if kind == _PACKET for number in _packet_numbers(body)]

    def let_go(self, last: int) -> None:
        """All packets up to this number go on."""
        self._send(_VERDICTS, _attribute(_VERDICT_HEADER, struct.pack(">II", _ACCEPT, last)), flags=_REQUEST)

    def _configure(self, attributes: bytes) -> None:
        self._send(_CONFIG, attributes, flags=_REQUEST | _ACK)
        for kind, body in _messages(self._socket.recv(1 << 16)):
            (status,) = struct.unpack_from("=i", body)
            if kind == _ERROR and status:
                raise OSError(-status, f"packet queue {QUEUE}: {os.strerror(-status)}")

    def _send(self, kind: int, attributes: bytes, *, flags: int) -> None:
        body = struct.pack(">BBH", socket.AF_UNSPEC, 0, QUEUE) + attributes
        self._socket.send(struct.pack("=IHHII", 16 + len(body), kind, flags, 0, 0) + body)


def delay_packets(queue: PacketQueue, delay_s: float) -> None:
    """Gives each packet back after ``delay_s``, until SIGTERM, SIGINT or the longest time; the rest at once."""
    told, telling = os.pipe()
    os.set_blocking(telling, False)
    signal.set_wakeup_fd(telling)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)  # the pipe tells
    held: deque[tuple[float, int]] = deque()
    end_s = time.monotonic() + _LONGEST_S
    while time.monotonic() < end_s:
        until_s = held[0][0] if held else end_s
        ready, _, _ = select.select([queue.fileno(), told], [], [], max(0.0, until_s - time.monotonic()))
        if told in ready:
            break
        if queue.fileno() in ready:
            due_s = time.monotonic() + delay_s
            held.extend((due_s, number) for number in queue.numbers())
        due = None
        while held and held[0][0] <= time.monotonic():
            due = held.popleft()[1]
        if due is not None:
            queue.let_go(due)
    if held:
        queue.let_go(held[-1][1])


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The kind and the body of each message of an answer."""
    while len(data) >= 16:
        length, kind = struct.unpack_from("=IH", data)
        if length < 16:
            return
        yield kind, data[16:length]
        data = data[_aligned(length) :]


def _packet_numbers(body: bytes) -> Iterator[int]:
    attributes = body[4:]
    while len(attributes) >= 4:
        length, kind = struct.unpack_from("=HH", attributes)
        if length < 4:
            return
        if kind == _PACKET_HEADER:
            yield struct.unpack_from(">I", attributes, 4)[0]
        attributes = attributes[_aligned(length) :]


def _attribute(kind: int, value: bytes) -> bytes:
    length = 4 + len(value)
    return struct.pack("=HH", length, kind) + value + bytes(_aligned(length) - length)


def _aligned(length: int) -> int:
    return (length + 3) & ~3


def main() -> None:
    """Delays packets until it is ended."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--delay-ms", type=int, required=True, help="for how long each packet is held back")
    options = parser.parse_args()
    delay_packets(PacketQueue(), options.delay_ms / 1000)


if __name__ == "__main__":
    main()
