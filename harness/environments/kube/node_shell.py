"""A shell that is kept open: to start another program in a node takes most of a second where the machine is busy."""

from __future__ import annotations

import contextlib
import os
import secrets
import selectors
import shlex
import subprocess
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_END_S = 2.0
_READ_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Answer:
    """What a script left: its exit status, and all it wrote."""

    status: int
    out: bytes
    err: bytes


class NodeShell:
    """A POSIX shell behind a command like ``docker exec -i NODE sh``, started at its first use and when it has ended.

    It ends with this object, and with this process however that ends: its standard input is closed then.
    """

    def __init__(self, argv: Sequence[str]) -> None:
        self._argv = tuple(argv)
        self._busy = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._end: Callable[[], object] | None = None

    def run(self, script: str, args: Sequence[str], *, timeout_s: float) -> Answer | None:
        """What a script says that gets ``$1`` and on, and no input; None while another thread's is under way.

        Raises TimeoutError, after which the script may go on unseen, EOFError when the shell ends before it answers,
        and OSError when it cannot be started.
        """
        if not self._busy.acquire(blocking=False):
            return None
        try:
            return self._ask(script, args, timeout_s)
        except BaseException:
            self.close()  # a late answer must not be taken for the next one's
            raise
        finally:
            self._busy.release()

    def close(self) -> None:
        """Ends the shell; nothing happens when it has ended."""
        if self._end is not None:
            self._end()
        self._process = None

    def _ask(self, script: str, args: Sequence[str], timeout_s: float) -> Answer:
        process = self._running()
        assert process.stdin is not None
        mark = secrets.token_hex(16)
        command = shlex.join(["sh", "-c", script, "sh", *args])
        told = f"{command} </dev/null; printf '\\n%s %d\\n' {mark} \"$?\"; printf '\\n%s\\n' {mark} >&2\n"
        with contextlib.suppress(BrokenPipeError):  # why it has ended is read below
            process.stdin.write(told.encode(errors="surrogateescape"))
            process.stdin.flush()
        out, err = _read(process, f"\n{mark}".encode(), timeout_s)
        out, _, status = out.rpartition(f"\n{mark} ".encode())
        return Answer(int(status), out, err.rpartition(f"\n{mark}\n".encode())[0])

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self.close()
            process = subprocess.Popen(
                self._argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,  # a terminal's Ctrl-C is the harness's to answer: what it runs may be an undo
            )
            self._process, self._end = process, weakref.finalize(self, _end, process)
        return self._process


def _read(process: subprocess.Popen[bytes], mark: bytes, timeout_s: float) -> tuple[bytes, bytes]:
    """Standard output and error, each up to the end of the line with the mark."""
    assert process.stdout is not None
    assert process.stderr is not None
    deadline_s = time.monotonic() + timeout_s
    said = {process.stdout: b"", process.stderr: b""}
    with selectors.DefaultSelector() as selector:
        for stream in said:
            selector.register(stream, selectors.EVENT_READ)
        while selector.get_map():
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                raise TimeoutError(f"it did not answer within {timeout_s:g} s")
            for key, _ in selector.select(left_s):
                stream = process.stdout if key.fileobj is process.stdout else process.stderr
                more = os.read(key.fd, _READ_BYTES)
                said[stream] += more
                if not more:
                    raise EOFError(_why(process, said[process.stderr]))
                if said[stream].endswith(b"\n") and mark in said[stream][-len(mark) - 8 :]:
                    selector.unregister(stream)
    return said[process.stdout], said[process.stderr]


def _why(process: subprocess.Popen[bytes], err: bytes) -> str:
    """Why a shell has ended, in the words of what it was started by."""
    assert process.stderr is not None
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_END_S)
        err += process.stderr.read()
    return err.decode(errors="replace").strip()[-500:] or f"its shell ended with exit status {process.returncode}"


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(OSError):
        assert process.stdin is not None
        process.stdin.close()
    try:
        process.wait(_END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()
