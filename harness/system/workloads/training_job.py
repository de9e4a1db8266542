"""The training job itself: steps, checkpoints, and what it does when a step goes wrong."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from harness import gpu
from harness.system import models
from harness.system.models.corpus import examples
from harness.system.models.weights import Weights, write_weights
from harness.system.telemetry.logs import get_logger
from harness.system.telemetry.training import TrainingInstruments
from harness.system.workloads.batches import BatchLoader
from harness.system.workloads.hyperparameters import HyperparameterFile

# A run's length: 22 minutes at 5 steps a second, over which the loss falls from 6.0 to about 1.
RUN_STEPS = 6600
CHECKPOINT_NAME = "checkpoint.npz"
_DEVICE_S = 0.05
_GPU_RETRY_S = 1.0
_BATCH_TIMEOUT_S = 1.0
# Weights are remembered this often, and a loss this far above theirs means that the run has diverged.
_REMEMBER_STEPS = 25
_DIVERGED_NATS = 1.0


class Device(Protocol):
    """What the job needs of a GPU tenant."""

    def run(self, device_s: float) -> None:
        """Keep the device busy; raises gpu.GpuLostError."""


def schedule(step: int) -> float:
    """What the base learning rate is multiplied with: 1.0 at a run's start, rising evenly to 2.5 at its end.

    A rising rate makes up for gradients that shrink as the loss falls: so it falls almost evenly.
    """
    return 1.0 + 1.5 * min(1.0, step / RUN_STEPS)


@dataclass(frozen=True, slots=True)
class _Remembered:
    weights: Weights
    steps: int
    loss: float


class TrainingJob:
    """Trains run after run on the text, each from the same fresh weights; the same seed gives the same losses."""

    def __init__(
        self,
        *,
        instruments: TrainingInstruments,
        hyperparameters: HyperparameterFile,
        device: Device,
        checkpoint_dir: Path | None,
        checkpoint_every_s: float,
        seed: int,
    ) -> None:
        self._instruments = instruments
        self._hyperparameters = hyperparameters
        self._device = device
        self._checkpoint = checkpoint_dir / CHECKPOINT_NAME if checkpoint_dir else None
        self._checkpoint_every_s = checkpoint_every_s
        self._seed = seed
        self._log = get_logger()
        self._model = self._first_model()
        self._remembered: _Remembered | None = None
        self._riskiest_rate = 0.0
        self._diverged = False
        self._gpu_lost = False

    def run(self, stopping: threading.Event) -> None:
        """Trains until ``stopping`` is set, then writes a last checkpoint."""
        self._instruments.running(True)
        inputs, targets = examples()
        due_s = time.monotonic()
        checkpoint_due_s = due_s + self._checkpoint_every_s
        with BatchLoader(inputs, targets, seed=self._seed) as loader:
            while not stopping.wait(max(0.0, due_s - time.monotonic())):
                pause_s = self.step(loader)
                # A step that came late does not make the next ones hurry.
                due_s = max(due_s + pause_s, time.monotonic())
                if time.monotonic() >= checkpoint_due_s:
                    self.write_checkpoint()
                    checkpoint_due_s = time.monotonic() + self._checkpoint_every_s
        self.write_checkpoint()
        self._instruments.running(False)

    def step(self, loader: BatchLoader) -> float:
        """Takes one step, if batch and GPU allow it; gives the time from its start to the next one's."""
        parameters = self._hyperparameters.current()
        self._roll_back_if_calmed(parameters.learning_rate)
        with self._instruments.data_loading():
            batch = loader.next(timeout_s=_BATCH_TIMEOUT_S)
        if batch is None:
            self._log.warning("no batch in time", timeout_s=_BATCH_TIMEOUT_S)
            return 0.0
        before = self._model.weights() if self._remembers_this_step() else None
        rate = parameters.learning_rate * schedule(self._model.steps)
        try:
            with self._instruments.batch():
                self._device.run(_DEVICE_S)
                result = self._model.step(*batch, learning_rate=rate)
        except gpu.GpuLostError as error:
            self._report_gpu(lost=True, error=error)
            return _GPU_RETRY_S
        self._report_gpu(lost=False)
        # A batch is the whole text, so that steps and epochs are the same number.
        step = self._model.steps
        self._instruments.step(step=step, epoch=step, loss=result.loss, accuracy=result.accuracy, learning_rate=rate)
        self._judge(result.loss, before)
        self._riskiest_rate = max(self._riskiest_rate, parameters.learning_rate)
        if step >= RUN_STEPS and not self._diverged:
            self._begin_anew(result)
        return 1.0 / parameters.steps_per_second

    def write_checkpoint(self) -> None:
        """Writes the last weights known to be good; the newest may be spoiled without that having shown yet.

        What goes wrong is logged: training goes on without.
        """
        good = self._remembered
        if self._checkpoint is None or good is None:
            return
        log = self._log.bind(path=str(self._checkpoint), step=good.steps)
        try:
            write_weights(self._checkpoint, good.weights, steps=good.steps)
        except OSError as error:
            log.error("checkpoint not written", exc_info=error)
        else:
            log.info("checkpoint written", loss=good.loss)

    def _first_model(self) -> models.LanguageModel:
        if self._checkpoint is not None and self._checkpoint.exists():
            log = self._log.bind(path=str(self._checkpoint))
            try:
                model = models.load(self._checkpoint)
            except models.WeightsError as error:
                log.error("checkpoint not usable, training starts anew", exc_info=error)
            else:
                log.info("checkpoint restored", step=model.steps)
                return model
        return models.fresh(self._seed)

    def _remembers_this_step(self) -> bool:
        return not self._diverged and (self._remembered is None or self._model.steps % _REMEMBER_STEPS == 0)

    def _judge(self, loss: float, before: Weights | None) -> None:
        """Remember the weights ``before`` the step, whose loss this is, or notice that the run has diverged."""
        good = self._remembered
        limit = math.inf if good is None else good.loss if self._diverged else good.loss + _DIVERGED_NATS
        if not math.isfinite(loss) or loss > limit:
            if not self._diverged:
                self._diverged = True
                self._log.error(
                    "training diverged; a lower learning rate brings the last good weights back",
                    loss=loss,
                    good_loss=good.loss if good else None,
                    step=self._model.steps,
                    learning_rate=self._riskiest_rate,
                )
            return
        if self._diverged:
            self._diverged = False
            self._log.info("training converges again", loss=loss, step=self._model.steps)
        if before is not None:
            self._remembered = _Remembered(before, self._model.steps - 1, loss)
            self._riskiest_rate = 0.0

    def _roll_back_if_calmed(self, learning_rate: float) -> None:
        """Only a lower rate makes the last good weights worth a second try: with the same one they go the same way."""
        if not self._diverged or learning_rate >= self._riskiest_rate:
            return
        good = self._remembered
        if good is None:
            self._model = models.fresh(self._seed)
        else:
            self._model.restore(good.weights)
            self._model.steps = good.steps
        self._diverged = False
        self._riskiest_rate = learning_rate
        self._log.info("last good weights restored", step=self._model.steps, loss=good.loss if good else None)

    def _begin_anew(self, result: models.StepResult) -> None:
        self._log.info("run complete, the next begins", loss=result.loss, accuracy=result.accuracy)
        self._model = models.fresh(self._seed)
        self._remembered = None

    def _report_gpu(self, *, lost: bool, error: Exception | None = None) -> None:
        if lost and not self._gpu_lost:
            self._log.error("GPU lost, training waits for it", retry_s=_GPU_RETRY_S, exc_info=error)
        elif self._gpu_lost and not lost:
            self._log.info("GPU is back, training goes on", step=self._model.steps)
        self._gpu_lost = lost
