"""The service proxy, with real connections."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.clock import wait_until

pytestmark = pytest.mark.e2e


def free_port(address: str) -> int:
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


@contextmanager
def proxy(tmp_path: Path, targets: list[tuple[str, int]]) -> Iterator[tuple[str, int]]:
    listen = ("127.0.0.1", free_port("127.0.0.1"))
    config = tmp_path / "proxy.json"
    config.write_text(json.dumps([{"listen": listen, "targets": targets}]), encoding="utf-8")
    process = subprocess.Popen([sys.executable, "-m", "harness.environments.local.service_proxy", str(config)])

    def listening() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(listen) == 0

    try:
        wait_until(listening, what="the proxy listens", timeout_s=20)
        yield listen
    finally:
        process.kill()
        process.wait()


async def ask(listen: tuple[str, int], text: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(*listen)
    writer.write(text)
    writer.write_eof()
    answer = await asyncio.wait_for(reader.read(), timeout=5)
    writer.close()
    return answer


async def echo(name: bytes) -> asyncio.Server:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(name + await reader.read())
        writer.close()

    return await asyncio.start_server(answer, "127.0.0.1", 0)


def test_pods_take_turns_and_one_that_refuses_is_passed_over(tmp_path: Path) -> None:
    async def scenario() -> None:
        servers = [await echo(name) for name in (b"a:", b"b:")]
        ports = [server.sockets[0].getsockname()[1] for server in servers]
        refusing = free_port("127.0.0.1")
        with proxy(tmp_path, [("127.0.0.1", port) for port in (*ports, refusing)]) as listen:
            big = b"x" * 300_000
            answers = [await ask(listen, big) for _ in range(6)]
        assert {answer[:2] for answer in answers} == {b"a:", b"b:"}
        assert all(answer[2:] == big for answer in answers)
        for server in servers:
            server.close()

    asyncio.run(scenario())


def test_a_service_without_a_pod_that_accepts_resets_the_connection(tmp_path: Path) -> None:
    async def scenario(listen: tuple[str, int]) -> None:
        with pytest.raises(OSError):  # reset while reading, or already when writing
            await ask(listen, b"hello")

    with proxy(tmp_path, [("127.0.0.1", free_port("127.0.0.1"))]) as listen:
        asyncio.run(scenario(listen))
