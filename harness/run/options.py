"""How a run is run, whatever asked for it: the command line, pytest or a program."""

from __future__ import annotations

from dataclasses import dataclass

from harness import defaults
from harness.run.placing import HERE, Place


@dataclass(frozen=True, slots=True)
class Options:
    """How to run.

    ``load_target``: ``namespace/service:port`` of the inference service; None: found by its label. ``left_out``: what
    was not even asked for here, for the report.
    """

    time_scale: float
    seed: int
    load_rate: float
    load_target: str | None = None
    left_out: tuple[str, ...] = ()
    load_workers: int = defaults.LOAD_WORKERS
    load_model: str = defaults.LOAD_MODEL
    place: Place = HERE
