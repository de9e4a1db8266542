"""What a run takes where nobody says otherwise; the command line and the pytest plugin share it."""

from __future__ import annotations

from pathlib import Path

TIME_SCALE = 60.0
LOAD_RATE = 10.0
LOAD_MODEL = "demo-lm"
LOAD_WORKERS = 1

_CHECKOUT = Path(__file__).resolve().parents[1]


def _from_here(path: Path) -> Path:
    """The path as somebody in the working directory would write it: reports show it, and travel."""
    try:
        return path.relative_to(Path.cwd())
    except (ValueError, OSError):  # elsewhere, or the working directory is gone
        return path


STACK = _from_here(_CHECKOUT / "fixtures" / "stack")
EXPERIMENTS = _from_here(_CHECKOUT / "experiments")
