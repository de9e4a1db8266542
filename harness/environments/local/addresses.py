"""A block of loopback addresses for one run, so that several runs share a machine."""

from __future__ import annotations

import random
import socket
from dataclasses import dataclass, field

from harness.errors import HarnessError

# 127.R.0.0/16 with R from this range; 127.0.x.x and 127.1.x.x are left to whatever else runs here.
_FIRST_BLOCK, _LAST_BLOCK = 2, 254


@dataclass(slots=True)
class AddressBlock:
    """``127.R.0.0/16``, leased: another run cannot take the same R while the lease's socket is open.

    The lease is an abstract Unix socket: nothing on disk, and gone with the processes that hold it. ``fileno`` is to be
    handed to the sandbox, which so keeps the lease as long as its pods live.
    """

    number: int
    lease: socket.socket
    _next: dict[int, int] = field(default_factory=dict)

    @property
    def node(self) -> str:
        """The node's own address."""
        return f"127.{self.number}.0.1"

    def pod(self) -> str:
        """The next unused pod address."""
        return self._take(1)

    def service(self) -> str:
        """The next unused service address."""
        return self._take(128)

    def _take(self, base: int) -> str:
        ordinal = self._next.get(base, 0) + 1
        self._next[base] = ordinal
        return f"127.{self.number}.{base + ordinal // 250}.{1 + ordinal % 250}"


def lease_block(seed: int) -> AddressBlock:
    """A block no other run on this machine holds. Raises HarnessError when all are taken."""
    blocks = list(range(_FIRST_BLOCK, _LAST_BLOCK + 1))
    random.Random(seed).shuffle(blocks)
    for number in blocks:
        lease = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            lease.bind(f"\0harness-127.{number}")
        except OSError:
            lease.close()
            continue
        return AddressBlock(number=number, lease=lease)
    raise HarnessError(f"all {len(blocks)} loopback address blocks are taken by other runs on this machine")
