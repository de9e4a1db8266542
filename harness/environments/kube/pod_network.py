"""A pod's own network, reached from the node it is on: what is let through, and when.

All of it is POSIX sh with ``nsenter`` and ``iptables``, which a node has because its kubelet and its pod network need
them, and bash for a TCP connection. What delays packets is a program of the harness's own image, which containerd's
``ctr`` mounts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.environments.images.references import parse_reference
from harness.environments.kube.kind_node import KindNode
from harness.environments.kube.packet_delay import QUEUE
from harness.errors import HarnessError, PodGone

_GONE = 44
# The way into a pod's network through a process of its own, be it only the one that keeps the network; empty when there
# is none. With cgroups by systemd the uid has other dashes.
_ENTER = r"""
own=$(readlink /proc/1/ns/net)
enter() {
  uid=$(echo "$1" | sed 's/-/[-_]/g')
  for file in $(grep -lE "pod$uid" /proc/[0-9]*/cgroup 2>/dev/null); do
    pid=${file#/proc/}; pid=${pid%/cgroup}
    net=$(readlink "/proc/$pid/ns/net" 2>/dev/null) || continue
    [ "$net" != "$own" ] && { echo "nsenter -t $pid -n"; return; }
  done
}
"""
_INSIDE = (
    _ENTER
    + r"""
inside=$(enter "$1"); shift
[ -n "$inside" ] || exit 44
"""
)
# uid, address, uid, address … behind the mark. All ways in are found first, so that the rules follow closely.
_DROP = (
    _ENTER
    + r"""
mark=$1; shift
ways=$(while [ $# -gt 0 ]; do echo "$2 $(enter "$1")"; shift 2; done)
echo "$ways" | while read -r address inside; do
  [ -n "$inside" ] || exit 44
  for end in "INPUT -s" "OUTPUT -d"; do
    $inside iptables -w -C $end "$address" -m comment --comment "$mark" -j DROP 2>/dev/null ||
      $inside iptables -w -A $end "$address" -m comment --comment "$mark" -j DROP || exit 1
  done
done
"""
)
_ACCEPT = (
    _ENTER
    + r"""
mark=$1; shift
ways=$(for uid; do enter "$uid"; done)
echo "$ways" | while read -r inside; do
  [ -n "$inside" ] || continue
  for chain in INPUT OUTPUT; do
    while at=$($inside iptables -w -nL "$chain" --line-numbers | grep -F "/* $mark */" | head -n 1) && [ -n "$at" ]; do
      $inside iptables -w -D "$chain" "${at%% *}" || exit 1
    done
  done
done
"""
)
_COUNTED = r"""
$inside iptables -w -nvxL | grep -F "/* $1 */" | while read -r packets rest; do echo "$packets"; done
"""
_CONNECT = r"""
$inside timeout "$3" bash -c '
  began=$EPOCHREALTIME; exec 3<>"/dev/tcp/$0/$1" && echo "$began $EPOCHREALTIME"
' "$1" "$2" 2>/dev/null || exit 3
"""
# The rule in a network of its own, which ends with the command.
_CAN_DELAY = r"""
unshare -n iptables -w -A OUTPUT -j NFQUEUE --queue-num 1 --queue-bypass 2>&1 || exit 3
ctr -n k8s.io images ls -q | grep -qxF "$1" || { echo "has no image $1"; exit 3; }
"""
# The program runs in the pod's network, in the root directory of an image of ours, and is found again by the latter.
# It is not as nice as whoever starts it, or packets would wait for the processor too.
_DELAY = r"""
root=/run/$1-$2 mark=$1 image=$3 delay=$4 queue=$5; shift 5
mkdir -p "$root" && ctr -n k8s.io images mount "$image" "$root" >/dev/null || exit 1
setsid nice -n -10 $inside chroot "$root" sh -c '
  PATH=/opt/venv/bin:$PATH; exec python -m harness.environments.kube.packet_delay --delay-ms "$0"
' "$delay" </dev/null >"$root.log" 2>&1 &
tries=0
until $inside cat /proc/net/netfilter/nfnetlink_queue | grep -q "^ *$queue "; do
  tries=$((tries + 1))
  [ "$tries" -lt 200 ] || { echo "nothing takes up the pod's packets: $(tail -n 1 "$root.log")" >&2; exit 1; }
  sleep 0.05
done
for address; do
  $inside iptables -w -A OUTPUT -d "$address" -m comment --comment "$mark" \
    -j NFQUEUE --queue-num "$queue" --queue-bypass || exit 1
done
"""
# Rules first: what the program still holds it lets go when it is told to end.
_HASTEN = (
    _ACCEPT
    + r"""
[ $? = 0 ] || exit 1
programs() { find /proc/[0-9]* -maxdepth 1 -name root -lname "$root" 2>/dev/null | tr -cd '0-9\n'; }
for uid; do
  root=/run/$mark-$uid
  for number in TERM KILL; do
    kill -s "$number" $(programs) 2>/dev/null
    tries=0
    while [ -n "$(programs)" ] && [ "$tries" -lt 40 ]; do tries=$((tries + 1)); sleep 0.05; done
  done
  if mountpoint -q "$root"; then ctr -n k8s.io images unmount --rm "$root" >/dev/null || exit 1; fi
  rm -f "$root.log"
  [ ! -d "$root" ] || rmdir "$root" || exit 1
done
"""
)


@dataclass(frozen=True, slots=True)
class PodNetwork:
    """The network of one pod, by its uid. Everything raises PodGone when the node no longer has the pod."""

    node: KindNode
    uid: str

    def counted(self, mark: str) -> int | None:
        """The packets that rules with the mark have met; None without one."""
        counts = self._run(_COUNTED, mark)[1].split()
        return sum(map(int, counts)) if counts else None

    def connect_s(self, address: str, port: int, *, within_s: float) -> float | None:
        """How long a TCP connection takes, in seconds; None where none is made within the time."""
        status, out = self._run(_CONNECT, address, str(port), f"{within_s:g}", fails=(3,))
        if status:
            return None
        began, made = map(float, out.split())
        return made - began

    def delay(self, addresses: Sequence[str], *, mark: str, delay_ms: int, image: str) -> None:
        """What the pod sends to these addresses leaves this much later, by a program in the harness's own ``image``."""
        name = parse_reference(image).qualified
        self._run(_DELAY, mark, self.uid, name, str(delay_ms), str(QUEUE), *addresses)

    def _run(self, script: str, *args: str, fails: tuple[int, ...] = ()) -> tuple[int, bytes]:
        status, out = self.node.run(_INSIDE + script, self.uid, *args, fails=(_GONE, *fails))
        if status == _GONE:
            raise PodGone(f"node {self.node.name} has no pod {self.uid} with a network of its own")
        return status, out


def require_delays(node: KindNode, image: str) -> None:
    """Raises HarnessError where the node's kernel hands over no packets, or the node lacks the image."""
    status, said = node.run(_CAN_DELAY, parse_reference(image).qualified, fails=(3,))
    if status:
        raise HarnessError(f"node {node.name} cannot delay packets: {said.decode().strip()}")


def drop(node: KindNode, parted: Sequence[tuple[str, str]], mark: str) -> None:
    """For each pod's uid and address: no packet passes between them. Raises PodGone for one the node does not have."""
    args = [part for pair in parted for part in pair]
    if node.run(_DROP, mark, *args, fails=(_GONE,))[0] == _GONE:
        raise PodGone(f"node {node.name} lacks one of the pods that are to be parted")


def accept(node: KindNode, uids: Sequence[str], mark: str) -> None:
    """No rule of these pods bears the mark; those the node does not have took theirs with them."""
    node.run(_ACCEPT, mark, *uids)


def hasten(node: KindNode, uids: Sequence[str], mark: str) -> None:
    """Nothing holds back packets of these pods for the mark, be they still there or not."""
    node.run(_HASTEN, mark, *uids)
