"""Makes the weights the package ships with.

Example: ``python -m harness.system.models.fit --out harness/system/models/weights.npz``

The same seed gives the same weights on the same machine; another machine's rounding may differ in the last digits.
It takes a few seconds on one core.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from harness.system import models
from harness.system.models.corpus import examples
from harness.system.telemetry.logs import configure_logs, get_logger

_STEPS = 1500
_LEARNING_RATE = 30.0


def fit(*, seed: int, steps: int = _STEPS, learning_rate: float = _LEARNING_RATE) -> models.LanguageModel:
    """A model trained on the whole text."""
    model = models.fresh(seed)
    inputs, targets = examples()
    for _ in range(steps):
        model.step(inputs, targets, learning_rate)
    return model


def probe_accuracy(model: models.LanguageModel) -> float:
    """Share of the probe set the model answers rightly, 0–1."""
    probes = models.probe_set()
    return sum(model.next_token(context) == following for context, following in probes) / len(probes)


def main(argv: list[str] | None = None) -> None:
    """Trains, writes the file and logs how good it is."""
    parser = argparse.ArgumentParser(
        prog="python -m harness.system.models.fit", description="Trains and writes the model's weights."
    )
    parser.add_argument(
        "--out", type=Path, default=models.SHIPPED_WEIGHTS, help="file to write (default: the shipped one)"
    )
    parser.add_argument("--seed", type=int, default=1, help="seed of the first weights (default %(default)s)")
    parser.add_argument("--steps", type=int, default=_STEPS, help="steps over the whole text (default %(default)s)")
    options = parser.parse_args(argv)
    configure_logs("model-fit")
    model = fit(seed=options.seed, steps=options.steps)
    model.save(options.out)
    get_logger().info("weights written", path=str(options.out), steps=model.steps, probe_accuracy=probe_accuracy(model))


if __name__ == "__main__":
    main()
