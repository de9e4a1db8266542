"""What the instruments cost a training step."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from prometheus_client import CollectorRegistry

from harness.system import models
from harness.system.models.corpus import examples
from harness.system.telemetry.training import TrainingInstruments

WARM_UP_STEPS = 20
BLOCK_STEPS = 20
_RATE = 0.1


@dataclass(frozen=True, slots=True)
class Overhead:
    """``bare_s`` and ``instrumented_s``: the median step. ``share``: what the instruments add to a step, as a share of
    it; ``low`` to ``high`` is where 95 of 100 such measurements would find it."""

    backend: str
    bare_s: float
    instrumented_s: float
    share: float
    low: float
    high: float


def measure(*, blocks: int = 41) -> Overhead:
    """Blocks of bare and of instrumented steps in turn, on the same batch, so that what slows the machine slows both.

    The share is the median over pairs of neighbouring blocks; its interval comes from the order statistics of the pairs
    (binomial, no assumption on how they are distributed).
    """
    inputs, targets = examples()
    model = models.fresh(1)
    instruments = TrainingInstruments(job_name="overhead", registry=CollectorRegistry())

    def bare() -> None:
        model.step(inputs, targets, learning_rate=_RATE)

    def instrumented() -> None:
        with instruments.data_loading():
            pass
        with instruments.batch():
            result = model.step(inputs, targets, learning_rate=_RATE)
        step = model.steps
        instruments.step(step=step, epoch=step, loss=result.loss, accuracy=result.accuracy, learning_rate=_RATE)

    for _ in range(WARM_UP_STEPS):
        instrumented()
    pairs = [(_block(bare), _block(instrumented)) for _ in range(blocks)]
    shares = sorted(with_s / without_s - 1 for without_s, with_s in pairs)
    half = round(0.98 * blocks**0.5)  # 1.96 standard deviations of a binomial with p = 1/2
    middle = blocks // 2
    return Overhead(
        backend=models.backend(),
        bare_s=median(without_s for without_s, _ in pairs),
        instrumented_s=median(with_s for _, with_s in pairs),
        share=shares[middle],
        low=shares[max(0, middle - half)],
        high=shares[min(blocks - 1, middle + half)],
    )


def _block(step: Callable[[], None]) -> float:
    """The median duration of a block's steps, in seconds."""
    durations_s = []
    for _ in range(BLOCK_STEPS):
        begun_s = time.perf_counter()
        step()
        durations_s.append(time.perf_counter() - begun_s)
    return median(durations_s)
