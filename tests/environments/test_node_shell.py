"""A shell that is kept open: what it says is each script's own, and it ends with whoever keeps it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from harness.clock import wait_until
from harness.environments.kube.node_shell import Answer, NodeShell

WAIT_S = 10.0


@pytest.fixture
def shell() -> Iterator[NodeShell]:
    made = NodeShell(["sh"])
    yield made
    made.close()


def process_of(shell: NodeShell) -> psutil.Process:
    return psutil.Process(int(ask(shell, "echo $PPID").out))


def ask(shell: NodeShell, script: str, *args: str, timeout_s: float = WAIT_S) -> Answer:
    answer = shell.run(script, args, timeout_s=timeout_s)
    assert answer is not None
    return answer


def test_one_shell_answers_script_after_script(shell: NodeShell) -> None:
    parents = {ask(shell, "echo $PPID").out for _ in range(3)}
    assert len(parents) == 1


@pytest.mark.parametrize(
    ("script", "answer"),
    [
        ("true", Answer(0, b"", b"")),
        ("exit 7", Answer(7, b"", b"")),
        ("printf out; printf err >&2; exit 3", Answer(3, b"out", b"err")),
        ("printf '\\n\\nlines\\n\\n'", Answer(0, b"\n\nlines\n\n", b"")),
        ("printf '\\000\\377'", Answer(0, b"\x00\xff", b"")),
        ("cat", Answer(0, b"", b"")),
        ("kill -9 $$", Answer(137, b"", b"")),
    ],
)
def test_what_a_script_writes_and_leaves_is_its_own(shell: NodeShell, script: str, answer: Answer) -> None:
    said = ask(shell, script)
    assert (said.status, said.out) == (answer.status, answer.out)
    assert answer.err in said.err
    assert ask(shell, "echo next").out == b"next\n"


def test_what_breaks_a_script_breaks_no_later_one(shell: NodeShell) -> None:
    for broken in ("exit 1", "(", "'", "set -e; false", "cd /none; unset PATH; exec 1>&-", "x='"):
        ask(shell, broken)
    assert ask(shell, "ls -d /").out == b"/\n"


def test_more_than_a_pipe_holds_comes_whole(shell: NodeShell) -> None:
    said = ask(shell, "head -c 1000000 /dev/zero; head -c 300000 /dev/zero >&2")
    assert (len(said.out), len(said.err)) == (1_000_000, 300_000)


def test_what_goes_on_behind_a_script_is_not_waited_for(shell: NodeShell) -> None:
    os.kill(int(ask(shell, "sleep 60 >/dev/null 2>&1 & echo $!").out), signal.SIGKILL)


def test_while_one_thread_is_answered_another_is_sent_away(shell: NodeShell, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "go")
    first = threading.Thread(target=ask, args=(shell, f"echo > {tmp_path}/begun; read x < {tmp_path}/go"))
    first.start()
    wait_until((tmp_path / "begun").exists, what="it has begun", timeout_s=WAIT_S)
    assert shell.run("true", (), timeout_s=WAIT_S) is None
    (tmp_path / "go").write_text("go\n", encoding="utf-8")
    first.join(WAIT_S)
    assert ask(shell, "true").status == 0


def test_a_late_answer_is_nobody_elses(shell: NodeShell) -> None:
    with pytest.raises(TimeoutError, match=r"within 0\.2 s"):
        shell.run("sleep 0.5; echo late", (), timeout_s=0.2)
    assert ask(shell, "echo own").out == b"own\n"


def test_a_shell_that_has_ended_is_started_anew(shell: NodeShell) -> None:
    first = process_of(shell)
    first.kill()
    wait_until(lambda: first.status() == psutil.STATUS_ZOMBIE, what="it has ended", timeout_s=WAIT_S)
    assert process_of(shell) != first


def test_a_shell_that_ends_before_it_answers_is_an_error_once(shell: NodeShell) -> None:
    with pytest.raises(EOFError, match="exit status -9"):
        shell.run("kill -9 $PPID", (), timeout_s=WAIT_S)
    assert ask(shell, "echo next").out == b"next\n"


def test_what_does_not_start_a_shell_says_why() -> None:
    with pytest.raises(EOFError, match=r"^no such node$"):
        NodeShell(["sh", "-c", "echo no such node >&2; exit 1"]).run("true", (), timeout_s=WAIT_S)
    with pytest.raises(FileNotFoundError):
        NodeShell(["/none/such"]).run("true", (), timeout_s=WAIT_S)


def test_it_ends_with_whoever_has_it() -> None:
    shell = NodeShell(["sh"])
    process = process_of(shell)
    del shell
    assert psutil.wait_procs([process], timeout=WAIT_S)[1] == []


@pytest.mark.parametrize("how", ["pass", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"])
def test_it_ends_with_its_process_however_that_ends(how: str) -> None:
    program = (
        "from harness.environments.kube.node_shell import NodeShell\n"
        "shell = NodeShell(['sh'])\n"
        f"print(shell.run('echo $PPID', (), timeout_s=10).out.decode(), flush=True)\n{how}\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)
    pid = int(done.stdout)
    wait_until(lambda: not psutil.pid_exists(pid), what="its shell has ended", timeout_s=WAIT_S)
