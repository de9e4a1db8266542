"""What a run takes where nobody says otherwise; the command line and the pytest plugin share it."""

from __future__ import annotations

from pathlib import Path

EXPERIMENT_SUFFIXES = (".yaml", ".yml", ".json")
TIME_SCALE = 60.0
LOAD_RATE = 10.0
LOAD_MODEL = "demo-lm"
LOAD_WORKERS = 1
KEPT_CLUSTER = "harness-kept"
# For a stack's pods. Those of a cluster pull their images, and some start one after another; real time, at any scale.
READY_TIMEOUT_S = 60.0
CLUSTER_READY_TIMEOUT_S = 300.0

_CHECKOUT = Path(__file__).resolve().parents[1]


def _from_here(path: Path) -> Path:
    """The path as somebody in the working directory would write it: reports show it, and travel."""
    try:
        return path.relative_to(Path.cwd())
    except (ValueError, OSError):  # elsewhere, or the working directory is gone
        return path


STACK = _from_here(_CHECKOUT / "fixtures" / "stack")
EXPERIMENTS = _from_here(_CHECKOUT / "experiments")
# What only a cluster has: its own metrics with the rules on them, and the experiments on its own parts.
CLUSTER_STACK = _from_here(_CHECKOUT / "fixtures" / "cluster")
CLUSTER_EXPERIMENTS = EXPERIMENTS / "cluster"


def stacks(environment: str) -> tuple[Path, ...]:
    """The directories of the shipped stack for an environment."""
    return (STACK, CLUSTER_STACK) if environment == "kind" and CLUSTER_STACK.is_dir() else (STACK,)


def experiments(environment: str) -> tuple[Path, ...]:
    """The directories of the shipped experiments for an environment."""
    return (EXPERIMENTS, CLUSTER_EXPERIMENTS) if stacks(environment)[1:] else (EXPERIMENTS,)
