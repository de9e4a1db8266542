"""One load shared by several workers: what each must know to send its part of the same plan.

Every worker walks the whole seeded sequence of arrivals and prompts, and sends each n-th of them. So the arrivals of
all together are those of a single process with the same seed, each sent once, whatever n is; to walk past an
arrival takes 2 µs. The shares travel with locust's own message that starts a worker, beside the options, so that no
worker can have one without the other.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")

# Within this time every worker has learned its share: milliseconds on an idle machine.
BEGIN_LEAD_S = 1.0
# With a begin further off than this, a worker's clock is another than the master's, or it was told far too late.
_BEGIN_OFF_S = 5.0


class NoShare(ValueError):
    """This worker must not make load; the message says why."""


@dataclass(frozen=True, slots=True)
class Share:
    """A worker's part of the load, which begins for all at ``begin_unix_s``.

    ``worker`` counts from 0; None where one process makes all the load.
    """

    worker: int | None
    workers: int
    begin_unix_s: float
    run_time_s: float

    def of(self, arrivals: Iterable[T]) -> Iterator[T]:
        """Those of all arrivals that this worker sends, in order."""
        return itertools.islice(arrivals, self.worker or 0, None, self.workers)


def share_out(client_ids: Iterable[str], *, now_unix_s: float, run_time_s: float) -> dict[str, Any]:
    """What the master tells all workers, as plain data: each client's number and what is common to them."""
    numbers = {client_id: number for number, client_id in enumerate(client_ids)}
    return {"workers": numbers, "begin_unix_s": now_unix_s + BEGIN_LEAD_S, "run_time_s": run_time_s}


def take_share(shares: dict[str, Any] | None, client_id: str, *, now_unix_s: float) -> Share:
    """The share of this client in what the master told. Raises NoShare when it has none or cannot keep the begin."""
    if shares is None:
        raise NoShare("the master gave out no shares of the load; its log says why")
    numbers = shares["workers"]
    if client_id not in numbers:
        raise NoShare(
            f"this worker has no share of the load, which was divided among {len(numbers)} others before it came; "
            "start all anew to have it among them"
        )
    ahead_s = shares["begin_unix_s"] - now_unix_s
    if abs(ahead_s) > _BEGIN_OFF_S:
        raise NoShare(
            f"the load begins {ahead_s:.1f} s from now by this machine's clock, expected {BEGIN_LEAD_S:g} s; "
            "set the clocks of master and workers alike"
        )
    return Share(numbers[client_id], len(numbers), shares["begin_unix_s"], shares["run_time_s"])
