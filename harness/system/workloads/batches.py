"""Batches made ahead by a thread, a few at a time."""

from __future__ import annotations

import queue
import threading
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

Batch = tuple[NDArray[np.int64], NDArray[np.int64]]
# Enough for the job never to wait for the loader, few enough that a loader that stalls is soon felt.
_AHEAD = 2
_POLL_S = 0.2


class BatchLoader:
    """Endless batches, each all examples in a new order: a batch is a whole epoch, and its loss has no sampling noise.

    >>> with BatchLoader(inputs, targets, seed=0) as loader:
    ...     batch = loader.next(timeout_s=1.0)
    """

    def __init__(self, inputs: NDArray[np.int64], targets: NDArray[np.int64], *, seed: int) -> None:
        self._inputs, self._targets = inputs, targets
        self._random = np.random.default_rng(seed)
        self._ready: queue.Queue[Batch] = queue.Queue(_AHEAD)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._load, name="batch-loader", daemon=True)

    def next(self, *, timeout_s: float) -> Batch | None:
        """The next batch; None when there is none in time."""
        try:
            return self._ready.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join()

    def _load(self) -> None:
        while not self._stopping.is_set():
            order = self._random.permutation(len(self._targets))
            batch = self._inputs[order], self._targets[order]
            while not self._stopping.is_set():
                try:
                    self._ready.put(batch, timeout=_POLL_S)
                except queue.Full:
                    continue
                break
