"""What is done inside a node, by the very scripts: processes and files are real, ``docker`` runs them in this machine.

Which processes are a container's is asked of a /proc written by hand.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from harness.clock import wait_until
from harness.environments.kube.kind_node import KindNode, KindNodes
from harness.environments.processes import process_started
from harness.errors import HarnessError
from harness.model import ProcessRef

# Runs in this machine what is to be run in the node; any other node or call is an error.
DOCKER = """\
#!/bin/sh
[ "$1" = exec ] || { echo "not expected: $*" >&2; exit 99; }
shift
[ "$1" = -i ] && shift
[ "$1" = node-1 ] || { echo "Error: No such container: $1" >&2; exit 1; }
shift
case "$*" in "nice -n 10 sh"|"sh -c "*) ;; *) echo "not expected: $*" >&2; exit 99;; esac
exec %s "$@"
"""
NAMES = ["plain", "with space", 'it\'s "quoted" $(touch owned) `touch owned`', "*", "-n", "line\nbreak", "ü"]
ID = "0123456789abcdef" * 4
OTHER_ID = "f" * 64

Reach = Callable[[str], KindNode]


def docker(folder: Path, monkeypatch: pytest.MonkeyPatch, prefix: str = "") -> None:
    folder.mkdir()
    (folder / "docker").write_text(DOCKER % prefix, encoding="utf-8")
    (folder / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def through_a_shell(name: str) -> KindNode:
    return KindNodes().named(name)


@pytest.fixture(params=[KindNode, through_a_shell])
def reach(request: pytest.FixtureRequest) -> Reach:
    """How a node is reached by its name: with a program for each script, or a shell for all of them."""
    made: Reach = request.param
    return made


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reach: Reach) -> KindNode:
    docker(tmp_path / "bin", monkeypatch)
    return reach("node-1")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "a folder"
    made.mkdir()
    return made


@contextmanager
def process(tmp_path: Path, name: str = "sleeps") -> Iterator[tuple[subprocess.Popen[bytes], ProcessRef]]:
    """A process of this machine that sleeps, called by this name."""
    program = tmp_path / "programs" / name
    program.parent.mkdir(exist_ok=True)
    shutil.copy("/bin/sleep", program)
    with subprocess.Popen([str(program), "60"]) as started:
        try:
            wait_until(lambda: comm(started.pid) == name, what="the program runs", timeout_s=10)
            since = process_started(started.pid)
            assert since is not None
            yield started, ProcessRef(started.pid, since, "node-1")
        finally:
            started.kill()


def comm(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").removesuffix("\n")


@pytest.mark.parametrize("name", ["sleeps", "a b", "x) Z 1", "(y", "q'\"$("])
def test_a_process_is_stopped_goes_on_and_is_killed_whatever_it_is_called(
    node: KindNode, tmp_path: Path, name: str
) -> None:
    with process(tmp_path, name) as (started, found):
        wait_until(lambda: node.process_state(found) == "S", what="it sleeps", timeout_s=10)
        assert node.signal(found, signal.SIGSTOP)
        wait_until(lambda: node.process_state(found) == "T", what="it is stopped", timeout_s=10)
        assert node.signal(found, signal.SIGCONT)
        wait_until(lambda: node.process_state(found) == "S", what="it goes on", timeout_s=10)
        assert node.signal(found, signal.SIGKILL)
        assert started.wait(timeout=10) == -signal.SIGKILL
        assert node.process_state(found) is None
        assert not node.signal(found, signal.SIGKILL)


@pytest.mark.parametrize("off", [-1, 1])
def test_a_later_process_of_the_same_number_is_not_touched(node: KindNode, tmp_path: Path, off: int) -> None:
    with process(tmp_path) as (started, found):
        other = ProcessRef(found.pid, found.started + off, "node-1")
        assert not node.signal(other, signal.SIGKILL)
        assert node.process_state(other) is None
        assert started.poll() is None
        assert node.process_state(found) is not None


def test_a_process_nobody_has_waited_for_is_gone(node: KindNode, tmp_path: Path) -> None:
    with process(tmp_path) as (started, found):
        os.kill(started.pid, signal.SIGKILL)
        wait_until(lambda: process_started(started.pid) is None, what="it is a zombie", timeout_s=10)
        assert Path(f"/proc/{started.pid}/stat").exists()
        assert node.process_state(found) is None
        assert not node.signal(found, signal.SIGKILL)


Proc = Callable[..., None]


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Proc:
    """Puts processes into the /proc the node's scripts see, which is otherwise empty."""
    root = tmp_path / "proc"
    root.mkdir()
    docker(tmp_path / "bin", monkeypatch, prefix=f"bwrap --dev-bind / / --bind {root} /proc")

    def put(
        pid: int, container: str, *, inner: str | None = "1", started: int = 100, state: str = "S", name: str = "python"
    ) -> None:
        here = root / str(pid)
        here.mkdir()
        (here / "cgroup").write_text(f"0::/kubelet.slice/pod1/cri-containerd-{container}.scope\n")
        rest = " ".join(["1"] * 18)
        (here / "stat").write_text(f"{pid} ({name}) {state} {rest} {started} 0 0 0\n")
        (here / "status").write_text(f"Name:\tx\nNSpid:\t{pid}\t{inner}\nThreads:\t4\n" if inner else "Name:\tx\n")

    return put


def test_the_first_process_of_the_first_container_comes_first(proc: Proc, reach: Reach) -> None:
    proc(40, ID, inner="7", started=90)
    proc(50, ID, inner="1", started=100)
    proc(60, ID, inner="9", started=80)
    proc(30, OTHER_ID, inner="1", started=10)
    proc(20, "a" * 64, inner="1", started=5)
    found = reach("node-1").processes([ID, OTHER_ID])
    assert [each.pid for each in found] == [50, 60, 40, 30]
    assert found[0] == ProcessRef(50, 100.0, "node-1")
    assert [each.pid for each in reach("node-1").processes([OTHER_ID, ID])] == [30, 50, 60, 40]


def test_processes_are_told_apart_from_their_names(proc: Proc) -> None:
    proc(50, ID, name="a) Z 1 2 3 (b")
    proc(51, ID, name="two\nlines) X", inner="2", started=101)
    assert [(each.pid, each.started) for each in KindNode("node-1").processes([ID])] == [(50, 100.0), (51, 101.0)]


def test_what_has_ended_is_not_listed(proc: Proc) -> None:
    proc(50, ID, state="Z")
    proc(51, ID, state="X")
    assert KindNode("node-1").processes([ID]) == []


def test_a_process_without_a_number_of_its_own_is_listed_behind(proc: Proc) -> None:
    proc(50, ID, inner=None, started=1)
    proc(51, ID, started=2)
    assert [each.pid for each in KindNode("node-1").processes([ID])] == [51, 50]


@pytest.mark.parametrize("wrong", ["", ".*", "0123", f"{ID[:20]}|.", ID.upper()])
def test_what_is_no_containers_id_has_no_processes(proc: Proc, wrong: str) -> None:
    proc(50, ID)
    assert KindNode("node-1").processes([wrong]) == []


def test_an_empty_node_has_no_processes(proc: Proc) -> None:
    assert KindNode("node-1").processes([ID]) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_written_read_filled_and_removed_whatever_it_is_called(
    node: KindNode, folder: Path, name: str
) -> None:
    path = f"{folder}/{name}"
    content = b"\x00 binary\n\xff no newline at the end"
    assert not node.has(path)
    node.replace(path, content)
    assert node.has(path)
    assert node.read(path) == content == Path(path).read_bytes()
    node.allocate(path, 12_345)
    assert Path(path).stat().st_size == 12_345
    node.remove(path)
    node.remove(path)
    assert not node.has(path)
    assert list(folder.iterdir()) == []


def test_a_file_changes_whole_and_is_readable_for_those_who_run_as_nobody(node: KindNode, folder: Path) -> None:
    path = folder / "config.yaml"
    path.write_text("old")
    path.chmod(0o600)
    with path.open() as before:
        node.replace(str(path), b"new")
        assert before.read() == "old"
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o644
    assert [each.name for each in folder.iterdir()] == ["config.yaml"]


def test_a_file_may_become_empty(node: KindNode, folder: Path) -> None:
    node.replace(f"{folder}/f", b"")
    assert node.read(f"{folder}/f") == b""


def test_what_cannot_be_done_is_an_error_with_the_nodes_words(node: KindNode, folder: Path) -> None:
    with pytest.raises(HarnessError, match=r"^node node-1: .*No such file"):
        node.read(f"{folder}/none")
    with pytest.raises(HarnessError, match=r"^node node-1: "):
        node.replace(f"{folder}/none/f", b"x")
    with pytest.raises(HarnessError, match=r"^node node-1: "):
        node.allocate(f"{folder}/none/f", 10)


def test_the_usage_is_that_of_the_file_system_a_path_lies_on(node: KindNode, folder: Path) -> None:
    size, available = node.usage(str(folder))
    real = os.statvfs(folder)
    assert size == real.f_blocks * real.f_frsize
    assert abs(available - real.f_bavail * real.f_frsize) < size / 100
    with pytest.raises(HarnessError, match="node node-1"):
        node.usage(f"{folder}/none")


@pytest.fixture
def small(folder: Path) -> Iterator[str]:
    """A directory on a file system of 1 MiB, reached through the process that shows it."""
    argv = ["bwrap", "--dev-bind", "/", "/", "--size", str(2**20), "--tmpfs", str(folder)]
    with subprocess.Popen([*argv, "sh", "-c", "echo here; exec sleep 60"], stdout=subprocess.PIPE) as shows:
        assert shows.stdout is not None
        assert shows.stdout.readline() == b"here\n"
        pid = Path(f"/proc/{shows.pid}/task/{shows.pid}/children").read_text().split()[0]
        yield f"/proc/{pid}/root{folder}"
        os.kill(int(pid), signal.SIGKILL)


def test_a_volume_is_filled_as_far_as_it_goes_and_emptied_again(node: KindNode, small: str) -> None:
    size, available = node.usage(small)
    assert size == 2**20
    node.allocate(f"{small}/some", 2**18)
    assert node.usage(small)[1] == available - 2**18
    node.allocate(f"{small}/more than there is", 2**30)
    assert node.usage(small)[1] == 0
    assert Path(f"{small}/more than there is").stat().st_size > 2**19
    node.remove(f"{small}/more than there is")
    assert node.usage(small)[1] == available - 2**18


def test_a_volume_that_is_full_already_is_filled(node: KindNode, small: str) -> None:
    node.allocate(f"{small}/first", 2**30)
    node.allocate(f"{small}/second", 2**30)
    assert node.usage(small)[1] == 0
    assert Path(f"{small}/second").stat().st_size == 0


def test_a_file_that_is_allocated_again_takes_its_new_size(node: KindNode, small: str) -> None:
    available = node.usage(small)[1]
    node.allocate(f"{small}/f", 2**19)
    node.allocate(f"{small}/f", 2**16)
    assert node.usage(small)[1] == available - 2**16


def test_a_script_gets_its_arguments_as_they_are_and_its_input(node: KindNode) -> None:
    assert node.run('printf "%s|" "$@"; cat', *NAMES, given=b"in") == (
        0,
        "".join(f"{n}|" for n in NAMES).encode() + b"in",
    )
    assert node.run("cat") == (0, b"")
    assert node.run("exit 3", fails=(3, 4)) == (3, b"")
    with pytest.raises(HarnessError, match=r"^node node-1: exit status 5$"):
        node.run("exit 5", fails=(3, 4))


@contextmanager
def follower(node: KindNode, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    argv = node.follow_argv(str(log))
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True) as follows:
        try:
            yield follows
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(follows.pid, signal.SIGKILL)


def test_a_containers_output_is_followed_without_what_the_runtime_adds(node: KindNode, folder: Path) -> None:
    log = folder / "0.log"
    stamp = "2026-01-01T00:00:00.123456789Z"
    log.write_text(f'{stamp} stdout F {{"a": 1}}\n{stamp} stderr F [ERROR] no F P \n', encoding="utf-8")
    with follower(node, log) as follows:
        assert follows.stdout is not None
        assert [follows.stdout.readline() for _ in range(2)] == [b'{"a": 1}\n', b"[ERROR] no F P \n"]
        with log.open("a", encoding="utf-8") as more:
            # A line longer than the runtime's pieces comes in several.
            more.write(f"{stamp} stdout P {'x' * 9}\n{stamp} stdout P y\n{stamp} stdout F z\n{stamp} stdout F after\n")
        assert [follows.stdout.readline() for _ in range(2)] == [b"xxxxxxxxxyz\n", b"after\n"]


def test_following_goes_on_when_the_log_begins_anew(node: KindNode, folder: Path) -> None:
    log = folder / "0.log"
    log.write_text("t stdout F old\n", encoding="utf-8")
    with follower(node, log) as follows:
        assert follows.stdout is not None
        assert follows.stdout.readline() == b"old\n"
        log.rename(folder / "0.log.1")
        log.write_text("t stdout F new\n", encoding="utf-8")
        assert follows.stdout.readline() == b"new\n"


def test_whatever_follows_ends_with_its_input_and_leaves_nothing(node: KindNode, folder: Path) -> None:
    log = folder / "0.log"
    log.write_text("t stdout F here\n", encoding="utf-8")
    with follower(node, log) as follows:
        assert follows.stdout is not None
        assert follows.stdin is not None
        assert follows.stdout.readline() == b"here\n"
        below = psutil.Process(follows.pid).children(recursive=True)
        assert below
        follows.stdin.close()
        follows.wait(timeout=10)
        assert follows.stdout.read() == b""
        assert psutil.wait_procs(below, timeout=10)[1] == []


def test_an_order_to_the_nodes_services_is_no_more_than_that(node: KindNode, tmp_path: Path) -> None:
    (tmp_path / "bin" / "systemctl").write_text(f'#!/bin/sh\nprintf "%s|" "$@" > {tmp_path}/said\n', encoding="utf-8")
    (tmp_path / "bin" / "systemctl").chmod(0o755)
    node.service("restart", "kubelet; touch owned")
    assert (tmp_path / "said").read_text() == "restart|kubelet; touch owned|"


def test_a_node_that_is_gone_is_an_error(node: KindNode, reach: Reach) -> None:
    with pytest.raises(HarnessError, match=r"node node-2: Error: No such container: node-2"):
        reach("node-2").read("/etc/hostname")


def test_a_node_that_does_not_answer_is_given_up(node: KindNode) -> None:
    with pytest.raises(HarnessError, match=r"node node-1: .*(timed out after 0\.3 seconds|not answer within 0\.3 s)"):
        node.run("exec sleep 60", timeout_s=0.3)


def test_what_runs_in_a_node_gives_way_to_its_pods(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docker(tmp_path / "bin", monkeypatch)
    assert KindNodes().named("node-1").run("nice") == (0, b"10\n")


def test_without_docker_no_node_can_be_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reach: Reach) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HarnessError, match=re.escape("node node-1: [Errno 2] No such file or directory: 'docker'")):
        reach("node-1").has("/")
