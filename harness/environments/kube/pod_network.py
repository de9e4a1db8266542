"""A pod's own network, reached from the node it is on: what is let through, and when.

All of it is POSIX sh with ``nsenter``, ``iptables`` and ``tc``, which a node has because its kubelet and its pod
network need them, and bash for a TCP connection.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.environments.kube.kind_node import KindNode
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
_DROPPED = r"""
$inside iptables -w -nvxL | grep -F "/* $1 */" | while read -r packets rest; do echo "$packets"; done
"""
_CONNECT = r"""
$inside timeout 1 bash -c 'exec 3<>"/dev/tcp/$0/$1"' "$1" "$2" 2>/dev/null || exit 3
"""
# In a network of its own, which ends with the command.
_CAN_DELAY = "unshare -n tc qdisc add dev lo root netem delay 1ms 2>&1 || exit 3"
_DEVICE = r"""
device=$($inside ip route show default | sed -n 's/.* dev \([^ ]*\).*/\1/p' | head -n 1)
[ -n "$device" ] || { echo "the pod has no route to others" >&2; exit 1; }
"""
_DELAY = (
    _DEVICE
    + r"""
if [ "$1" -gt 0 ]; then
  $inside tc qdisc replace dev "$device" root netem delay "$1ms"
elif $inside tc qdisc show dev "$device" | grep -q netem; then
  $inside tc qdisc del dev "$device" root
fi
"""
)
_SHOW_DELAY = (
    _DEVICE
    + r"""
$inside tc qdisc show dev "$device" | sed -n 's/.*netem.* delay \([^ ]*\).*/\1/p'
"""
)


@dataclass(frozen=True, slots=True)
class PodNetwork:
    """The network of one pod, by its uid. Everything raises PodGone when the node no longer has the pod."""

    node: KindNode
    uid: str

    def dropped(self, mark: str) -> int | None:
        """The packets dropped by rules with the mark; None without one."""
        counts = self._run(_DROPPED, mark)[1].split()
        return sum(map(int, counts)) if counts else None

    def connects(self, address: str, port: int) -> bool:
        """Whether a TCP connection is made."""
        return self._run(_CONNECT, address, str(port), fails=(3,))[0] == 0

    def delay(self, delay_ms: int) -> None:
        """What the pod sends leaves this much later; zero: at once."""
        self._run(_DELAY, str(delay_ms))

    def shown_delay(self) -> str | None:
        """The delay in the kernel's words."""
        return self._run(_SHOW_DELAY)[1].decode().strip() or None

    def require_delays(self) -> None:
        """Raises HarnessError where the node's kernel has no way to delay packets."""
        status, said = self.node.run(_CAN_DELAY, fails=(3,))
        if status:
            raise HarnessError(
                f"node {self.node.name}: its kernel cannot delay packets (sch_netem): {said.decode().strip()}"
            )

    def _run(self, script: str, *args: str, fails: tuple[int, ...] = ()) -> tuple[int, bytes]:
        status, out = self.node.run(_INSIDE + script, self.uid, *args, fails=(_GONE, *fails))
        if status == _GONE:
            raise PodGone(f"node {self.node.name} has no pod {self.uid} with a network of its own")
        return status, out


def drop(node: KindNode, parted: Sequence[tuple[str, str]], mark: str) -> None:
    """For each pod's uid and address: no packet passes between them. Raises PodGone for one the node does not have."""
    args = [part for pair in parted for part in pair]
    if node.run(_DROP, mark, *args, fails=(_GONE,))[0] == _GONE:
        raise PodGone(f"node {node.name} lacks one of the pods that are to be parted")


def accept(node: KindNode, uids: Sequence[str], mark: str) -> None:
    """No rule of these pods bears the mark; those the node does not have took theirs with them."""
    node.run(_ACCEPT, mark, *uids)
