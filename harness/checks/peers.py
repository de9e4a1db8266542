"""How long a notification may wait for Alertmanagers that no longer notify.

The replicas of an Alertmanager notify in an order of theirs: each waits for one peer timeout for each of those before
it, so that one of them tells (Alertmanager, notify/notify.go, ``WaitStage``). One that died is before the others until
they have noticed, and what it should have told comes that much later.
"""

from __future__ import annotations

from collections.abc import Iterable

from harness.model import Event
from harness.spec import Peers, Spec


def peers_wait_s(events: Iterable[Event], spec: Spec, *, time_scale: float) -> float:
    """Real seconds by which a notification may come later where an event disturbs a replica; zero where none does."""
    peers = spec.peers
    if peers is None or not any(_disturbs(event, peers) for event in events):
        return 0.0
    return peers.longest_wait_s(time_scale)


def _disturbs(event: Event, peers: Peers) -> bool:
    """Whether the event is the start or end of a replica, or a fault that is aimed at one or at all of them."""
    if event.data.get("namespace") not in (None, peers.namespace):
        return False
    if event.kind == "pod":
        return bool(event.data.get("workload") == peers.workload)
    return event.kind == "fault" and event.data.get("target") in (peers.workload, *peers.pods)
