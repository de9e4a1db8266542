"""What kind gives beyond the Kubernetes API: each node is a container, and its processes and mounts can be reached.

All of it is POSIX sh in the node, through ``docker exec``: a node's image has no more than that for certain.
"""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field

from harness.environments.kube.node_shell import Answer, NodeShell
from harness.errors import HarnessError
from harness.model import ProcessRef

_TIMEOUT_S = 20.0
_NICE = "10"
_CONTAINER_ID = re.compile(r"[0-9a-f]{12,64}")

# A process's letter and start: fields 3 and 22 of its stat line, counted behind the last bracket of its name.
STAT = r"""
stat_of() {
  line=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  set -- ${line##*) }
  state=$1; shift 19; started=$1
}
"""
_LIST = r"""
for file in $(grep -lE "$1" /proc/[0-9]*/cgroup 2>/dev/null); do
  pid=${file#/proc/}; pid=${pid%/cgroup}
  stat_of "$pid" || continue
  inner=$(grep '^NSpid:' "/proc/$pid/status" 2>/dev/null); inner=${inner##*[!0-9]}
  echo "$pid $started $state ${inner:-0}"
done
"""
_SIGNAL = r"""
stat_of "$1" && [ "$started" = "$2" ] || exit 3
case $state in Z|X) exit 3;; esac
kill -"$3" "$1" 2>/dev/null || exit 3
"""
_STATE = r"""
stat_of "$1" && [ "$started" = "$2" ] || exit 0
echo "$state"
"""
_ALLOCATE = r"""
rm -f "$1"; fallocate -l "$2" "$1" 2>/dev/null && exit 0
rm -f "$1"; head -c "$2" /dev/zero > "$1" 2>/dev/null || [ -e "$1" ]
"""
# Lines are as the container runtime interface has them: time, stream, F or P for a full or a partial line, content.
# What is partial is kept until the rest has come.
_FOLLOW = r"""
tail -n +1 -F "$1" 2>/dev/null | sed -nu '
  /^[^ ]* [a-z]* P /{ s/^[^ ]* [a-z]* P //; H; d; }
  s/^[^ ]* [a-z]* F //; H; s/.*//; x; s/\n//g; p
' &
cat > /dev/null
pkill -P $$ 2>/dev/null; kill $! 2>/dev/null
"""
_AWAIT = r"""
timeout "$2" bash -c 'until (exec 3<>"/dev/tcp/127.0.0.1/$0") 2>/dev/null; do sleep 0.05; done' "$1" || exit 3
"""
_REPLACE = r"""
cat > "$1.harness" && chmod 644 "$1.harness" && mv "$1.harness" "$1"
"""


@dataclass(frozen=True, slots=True)
class KindNode:
    """One node by its name, which is its container's. ``shell``: one that is kept open there, for all without input."""

    name: str
    shell: NodeShell | None = field(default=None, compare=False)

    def run(
        self,
        script: str,
        *args: str,
        given: bytes | None = None,
        fails: Iterable[int] = (),
        timeout_s: float = _TIMEOUT_S,
    ) -> tuple[int, bytes]:
        """Exit status and output of a script in the node; ``$1`` and on are the ``args``.

        Raises HarnessError when it fails with a status that is not among ``fails``, or the node cannot be reached.
        """
        answer = None
        try:
            if given is None and self.shell is not None:
                answer = self.shell.run(script, args, timeout_s=timeout_s)
            if answer is None:
                answer = self._run_apart(script, args, given, timeout_s)
        except (subprocess.TimeoutExpired, OSError, EOFError) as error:
            raise HarnessError(f"node {self.name}: {error}") from error
        if answer.status != 0 and answer.status not in fails:
            said = answer.err.decode(errors="replace").strip()[-500:]
            raise HarnessError(f"node {self.name}: {said or f'exit status {answer.status}'}")
        return answer.status, answer.out

    def _run_apart(self, script: str, args: Iterable[str], given: bytes | None, timeout_s: float) -> Answer:
        argv = ["docker", "exec", *(["-i"] if given is not None else []), self.name, "sh", "-c", script, "sh", *args]
        done = subprocess.run(
            argv,
            input=given,
            stdin=subprocess.DEVNULL if given is None else None,
            capture_output=True,
            timeout=timeout_s,
            check=False,
            start_new_session=True,  # a terminal's Ctrl-C is the harness's to answer: this may be an undo
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    def processes(self, container_ids: Iterable[str]) -> list[ProcessRef]:
        """The processes of these containers, the first of the first container before all others."""
        found: list[tuple[int, int, float, ProcessRef]] = []
        for order, container_id in enumerate(container_ids):
            if not _CONTAINER_ID.fullmatch(container_id):
                continue
            _, out = self.run(STAT + _LIST, container_id)
            for line in out.decode().splitlines():
                pid, started, state, inner = line.split()
                if state not in ("Z", "X"):
                    first = 0 if inner == "1" else 1
                    found.append((order, first, float(started), ProcessRef(int(pid), float(started), self.name)))
        return [entry[3] for entry in sorted(found, key=lambda entry: (*entry[:3], entry[3].pid))]

    def process_state(self, process: ProcessRef) -> str | None:
        """The kernel's letter for what a process does; None when it is gone."""
        _, out = self.run(STAT + _STATE, str(process.pid), f"{process.started:.0f}")
        state = out.decode().strip()
        return None if state in ("", "Z", "X") else state

    def signal(self, process: ProcessRef, number: signal.Signals) -> bool:
        """Whether it was sent to that very process."""
        status, _ = self.run(STAT + _SIGNAL, str(process.pid), f"{process.started:.0f}", str(int(number)), fails=(3,))
        return status == 0

    def usage(self, path: str) -> tuple[int, int]:
        """(size, available) in bytes of the file system a path lies on."""
        _, out = self.run('stat -f -c "%S %b %a" "$1"', path)
        block, size, available = map(int, out.split())
        return size * block, available * block

    def has(self, path: str) -> bool:
        """Whether there is such a file or directory."""
        return self.run('[ -e "$1" ] || exit 3', path, fails=(3,))[0] == 0

    def read(self, path: str) -> bytes:
        """A file's content."""
        return self.run('cat "$1"', path)[1]

    def replace(self, path: str, content: bytes) -> None:
        """The file changes whole."""
        self.run(_REPLACE, path, given=content)

    def allocate(self, path: str, size_bytes: int) -> None:
        """The file takes this much space, or all there is where that is less."""
        self.run(_ALLOCATE, path, str(size_bytes), timeout_s=120.0)

    def remove(self, path: str) -> None:
        """There is no such file."""
        self.run('rm -f "$1"', path)

    def follow_argv(self, log: str) -> list[str]:
        """The command that writes a container's log and what is added to it, without the runtime's prefix of each line.

        It ends when its standard input does: the node would go on with a program whose caller was killed.
        """
        return ["docker", "exec", "-i", self.name, "sh", "-c", _FOLLOW, "sh", log]

    def await_port(self, port: int, *, timeout_s: float) -> bool:
        """Whether something in the node listens at this port of its loopback before the time is over."""
        status, _ = self.run(_AWAIT, str(port), f"{timeout_s:.0f}", fails=(3,), timeout_s=timeout_s + _TIMEOUT_S)
        return status == 0

    def service(self, order: str, name: str) -> None:
        """``systemctl ORDER NAME`` in the node."""
        self.run(f"systemctl {shlex.quote(order)} {shlex.quote(name)}", timeout_s=60.0)


class KindNodes:
    """The nodes of a kind cluster, each with a shell that is kept open from its first use on.

    What it runs is outside all pods, where one program weighs as much as they do together: unless it is nice, it
    starves what is watched.
    """

    def __init__(self) -> None:
        self._nodes: dict[str, KindNode] = {}

    def named(self, name: str) -> KindNode:
        """The node of this name; whether there is one shows when it is used."""
        shell = NodeShell(["docker", "exec", "-i", name, "nice", "-n", _NICE, "sh"])
        return self._nodes.setdefault(name, KindNode(name, shell))
