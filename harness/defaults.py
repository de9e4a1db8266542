"""What a run takes where nobody says otherwise; the command line and the pytest plugin share it."""

from __future__ import annotations

from pathlib import Path

TIME_SCALE = 60.0
LOAD_RATE = 10.0
LOAD_MODEL = "demo-lm"

_CHECKOUT = Path(__file__).resolve().parents[1]
STACK = _CHECKOUT / "fixtures" / "stack"
EXPERIMENTS = _CHECKOUT / "experiments"
