"""A container that runs out of memory, by the kernel's own hand, with cgroups of version 1 and 2."""

from __future__ import annotations

from harness.environments.kube.kind_node import STAT, KindNode
from harness.errors import HarnessError
from harness.model import ProcessRef

_SURVIVED = 45
_GONE = 46
# The limit comes close to what is used, and a guest in the cgroup asks for more. The kernel then kills what has the
# highest score, which the process is given: lowering the guest's own would need a right that a node may lack. The limit
# is lifted again also where the container lives on; the guest ends in any case.
_EXHAUST = r"""
pid=$1
same() { stat_of "$pid" && [ "$started" = "$2" ] && case $state in Z|X) false;; esac; }
same "$@" || exit 46
for root in /sys/fs/cgroup/memory /sys/fs/cgroup; do
  [ -d "$root" ] || continue
  home=$(find "$root" -name cgroup.procs -exec grep -lx "$pid" {} + 2>/dev/null | head -n 1)
  [ -n "$home" ] && break
done
[ -n "$home" ] || { echo "the memory cgroup of process $pid is not found" >&2; exit 1; }
home=${home%/cgroup.procs}
limit=$home/memory.max; usage=$home/memory.current
[ -e "$limit" ] || { limit=$home/memory.limit_in_bytes; usage=$home/memory.usage_in_bytes; }
before=$(cat "$limit"); score=$(cat "/proc/$pid/oom_score_adj")
guest=
restore() {
  [ -n "$guest" ] && kill -9 "$guest" 2>/dev/null
  [ -e "$limit" ] && echo "$before" > "$limit"
  same "$@" && echo "$score" > "/proc/$pid/oom_score_adj"
} 2>/dev/null
trap 'restore "$@"' EXIT
echo 1000 > "/proc/$pid/oom_score_adj" || exit 1
echo $(($(cat "$usage") + 16777216)) > "$limit" || exit 1
(echo 0 > "$home/cgroup.procs" && exec tail /dev/zero) >/dev/null 2>&1 &
guest=$!
tries=0
while same "$@" && [ "$tries" -lt 100 ]; do tries=$((tries + 1)); sleep 0.1; done
same "$@" && exit 45
exit 0
"""


def exhaust_memory(node: KindNode, process: ProcessRef) -> None:
    """The kernel's OOM killer kills this process within its cgroup. Raises HarnessError when it did not."""
    status, _ = node.run(
        STAT + _EXHAUST, str(process.pid), f"{process.started:.0f}", fails=(_SURVIVED, _GONE), timeout_s=30.0
    )
    if status == _GONE:
        raise HarnessError(f"process {process.pid} ended before its memory could be exhausted")
    if status == _SURVIVED:
        raise HarnessError(f"process {process.pid} survived: the kernel killed something else in its cgroup")
