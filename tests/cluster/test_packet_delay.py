"""Packets held back by the kernel's own queue, in a network that holds nothing else and ends with the test."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from harness.clock import wait_until

pytestmark = pytest.mark.cluster

ADDRESS = "10.9.9.1"
RULE = ("-d", ADDRESS, "-j", "NFQUEUE", "--queue-num", "7", "--queue-bypass")
# Prints how long a connection and an answer take, then how much of what was sent came back and how long that took.
TALK = """
import socket, sys, threading, time
server = socket.create_server((sys.argv[1], 0))
def answer():
    there, _ = server.accept()
    with there:
        while data := there.recv(1 << 16):
            there.sendall(data)
threading.Thread(target=answer, daemon=True).start()
began = time.monotonic()
here = socket.create_connection(server.getsockname(), timeout=10)
connected = time.monotonic()
here.sendall(b"x")
here.recv(1)
answered = time.monotonic()
threading.Thread(target=lambda: (here.sendall(bytes(1 << 20)), here.shutdown(socket.SHUT_WR)), daemon=True).start()
size = 0
while data := here.recv(1 << 16):
    size += len(data)
print(connected - began, answered - connected, size, time.monotonic() - answered)
"""


class Net:
    """A network of its own, by a process that stays in it."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def inside(self, *argv: str) -> list[str]:
        """The command that runs another one there."""
        return ["nsenter", "-t", str(self._process.pid), "--user", "--net", "--preserve-credentials", *argv]

    def run(self, *argv: str) -> str:
        """What a program says there, which has to succeed."""
        done = subprocess.run(self.inside(*argv), capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def talk(self) -> tuple[float, float, int, float]:
        """Seconds until connected, until answered; bytes that came back, and seconds for them."""
        connected, answered, size, rest = self.run(sys.executable, "-c", TALK, ADDRESS).split()
        return float(connected), float(answered), int(size), float(rest)

    def delays(self, delay_ms: int) -> subprocess.Popen[bytes]:
        """The program that delays packets, once the kernel knows it."""
        module = "harness.environments.kube.packet_delay"
        argv = self.inside(sys.executable, "-m", module, "--delay-ms", str(delay_ms))
        process = subprocess.Popen(argv, stderr=subprocess.PIPE)
        queues = "/proc/net/netfilter/nfnetlink_queue"
        wait_until(
            lambda: process.poll() is not None or self.run("cat", queues).split()[:1] == ["7"],
            what="the queue is taken up",
            timeout_s=10,
        )
        return process


@pytest.fixture
def net() -> Iterator[Net]:
    argv = ["unshare", "--map-root-user", "--net", "sh", "-c", "ip link set lo up && echo && exec sleep 120"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        found = Net(process)
        found.run("ip", "address", "add", f"{ADDRESS}/32", "dev", "lo")
        found.run("iptables", "-A", "OUTPUT", *RULE)
        yield found
        process.kill()


def ended(process: subprocess.Popen[bytes], number: signal.Signals) -> int:
    process.send_signal(number)
    process.communicate(timeout=10)
    return process.returncode


def test_each_packet_leaves_later_and_none_is_lost(net: Net) -> None:
    process = net.delays(100)
    connected, answered, size, rest_s = net.talk()
    assert 0.19 <= connected < 0.4
    assert 0.19 <= answered < 0.4
    assert size == 1 << 20
    assert rest_s > 0.19
    assert ended(process, signal.SIGTERM) == 0
    assert max(net.talk()[:2]) < 0.05


def test_what_is_held_back_goes_on_when_it_is_told_to_end(net: Net) -> None:
    process = net.delays(5000)
    with subprocess.Popen(net.inside(sys.executable, "-c", TALK, ADDRESS), stdout=subprocess.PIPE) as talking:
        waiting = "/proc/net/netfilter/nfnetlink_queue"
        wait_until(lambda: net.run("cat", waiting).split()[2] != "0", what="a packet is held back", timeout_s=10)
        assert ended(process, signal.SIGTERM) == 0
        said, _ = talking.communicate(timeout=10)
    assert float(said.split()[0]) < 4.0


def test_killed_it_holds_nothing_up(net: Net) -> None:
    assert ended(net.delays(5000), signal.SIGKILL) == -signal.SIGKILL
    assert max(net.talk()[:2]) < 0.05


def test_a_queue_that_another_program_has_is_refused(net: Net) -> None:
    process = net.delays(100)
    second = net.delays(100)
    second.wait(timeout=10)
    assert second.stderr is not None
    assert b"packet queue 7" in second.stderr.read()
    assert second.returncode == 1
    assert ended(process, signal.SIGINT) == 0
