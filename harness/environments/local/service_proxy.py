"""What kube-proxy does in a cluster: each Service answers at an address of its own and passes connections to its pods.

Runs inside the node as a program: ``python -m harness.environments.local.service_proxy CONFIG.json``, where the file
holds a list of ``{"listen": [address, port], "targets": [[address, port], …]}``. Pods take turns; one that refuses the
connection is passed over, as a pod that is not ready would be.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import socket
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

_CONNECT_TIMEOUT_S = 1.0
_CHUNK_BYTES = 64 * 1024

Address = tuple[str, int]


async def _serve(config: list[dict[str, list[object]]]) -> None:
    servers = []
    for entry in config:
        host, port = entry["listen"]
        targets: list[Address] = [(str(target[0]), int(target[1])) for target in entry["targets"]]  # type: ignore[index]
        forward = _Forward(targets)
        servers.append(await asyncio.start_server(forward.connection, str(host), int(str(port))))
    async with contextlib.AsyncExitStack() as stack:
        for server in servers:
            await stack.enter_async_context(server)
        await asyncio.Event().wait()


class _Forward:
    def __init__(self, targets: list[Address]) -> None:
        self._targets = targets
        self._turns: Iterator[int] = itertools.count()

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream = await self._connect()
        if upstream is None:
            # A reset, as a Service without endpoints gives, rather than an orderly end without an answer.
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
            return
        up_reader, up_writer = upstream
        await asyncio.gather(_pump(reader, up_writer), _pump(up_reader, writer))
        for end in (writer, up_writer):
            end.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        turn = next(self._turns)
        for step in range(len(self._targets)):
            host, port = self._targets[(turn + step) % len(self._targets)]
            with contextlib.suppress(OSError, TimeoutError):
                return await asyncio.wait_for(asyncio.open_connection(host, port), _CONNECT_TIMEOUT_S)
        return None


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copies until the reader ends, then passes the end on; a broken side ends both."""
    try:
        while chunk := await reader.read(_CHUNK_BYTES):
            writer.write(chunk)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except OSError:
        writer.transport.abort()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
