"""Metrics of a training job, as Prometheus scrapes them.

>>> from prometheus_client import CollectorRegistry
>>> registry = CollectorRegistry()
>>> instruments = TrainingInstruments(job_name="demo", registry=registry)
>>> with instruments.data_loading():
...     batch = next(iter([[1, 2, 3]]))
>>> with instruments.batch():
...     loss = float(sum(batch))
>>> instruments.step(step=1, epoch=0, loss=loss, accuracy=0.5, learning_rate=0.01)
>>> registry.get_sample_value("training_loss", {"job_name": "demo"})
6.0
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import REGISTRY, CollectorRegistry, Gauge, Histogram

BATCH_BUCKETS_S = (0.1, 0.5, 1, 2, 5)
LOADING_BUCKETS_S = (0.01, 0.05, 0.1, 0.5, 1)
_LABELS = ("job_name",)


class TrainingInstruments:
    """One job's metrics. Its label is its name alone: a series for each epoch or step would make ``deriv`` blind.

    The figures of a step are absent until the first ``step``: a loss of 0 that nobody measured would look like
    the best of models. ``training_running`` is there from the start, as 0.
    """

    def __init__(self, *, job_name: str, registry: CollectorRegistry = REGISTRY) -> None:
        """Raises ValueError when the registry has these metrics already."""
        self._job_name = job_name
        self._loss = Gauge("training_loss", "Loss of the latest step.", _LABELS, registry=registry)
        self._accuracy = Gauge("training_accuracy", "Accuracy of the latest step, 0-1.", _LABELS, registry=registry)
        self._epoch = Gauge("training_epoch", "Passes over the data that are complete.", _LABELS, registry=registry)
        self._step = Gauge("training_step", "Steps taken in this run.", _LABELS, registry=registry)
        self._learning_rate = Gauge("learning_rate", "Learning rate of the latest step.", _LABELS, registry=registry)
        self._batch = Histogram(
            "batch_processing_seconds",
            "Time from a batch to the changed weights.",
            _LABELS,
            buckets=BATCH_BUCKETS_S,
            registry=registry,
        ).labels(job_name)
        self._loading = Histogram(
            "data_loading_seconds",
            "Time spent waiting for a batch.",
            _LABELS,
            buckets=LOADING_BUCKETS_S,
            registry=registry,
        ).labels(job_name)
        self._running = Gauge("training_running", "Whether the job trains: 1 or 0.", _LABELS, registry=registry).labels(
            job_name
        )

    def running(self, running: bool) -> None:
        """Tell whether the job trains from now on, so that a rule can leave out jobs that are over."""
        self._running.set(float(running))

    def step(self, *, step: int, epoch: int, loss: float, accuracy: float, learning_rate: float) -> None:
        """Show the step just taken. A loss that is NaN or infinite is shown as such."""
        self._step.labels(self._job_name).set(step)
        self._epoch.labels(self._job_name).set(epoch)
        self._loss.labels(self._job_name).set(loss)
        self._accuracy.labels(self._job_name).set(accuracy)
        self._learning_rate.labels(self._job_name).set(learning_rate)

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Times the work on one batch; a batch that raised was not processed and does not count."""
        began_s = time.perf_counter()
        yield
        self._batch.observe(time.perf_counter() - began_s)

    @contextmanager
    def data_loading(self) -> Iterator[None]:
        """Times the wait for one batch, also when the wait ends in an error: the time was lost all the same."""
        began_s = time.perf_counter()
        try:
            yield
        finally:
            self._loading.observe(time.perf_counter() - began_s)
