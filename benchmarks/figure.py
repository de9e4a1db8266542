"""A measured figure beside its bound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Figure:
    """``measured`` and ``bound`` in ``unit``; ``measured`` None: not observed. It holds up to the bound, inclusive."""

    name: str
    measured: float | None
    bound: float
    unit: str
    how: str

    @property
    def ratio(self) -> float | None:
        """Measured ÷ bound; at most 1 when it holds."""
        return None if self.measured is None else self.measured / self.bound

    @property
    def holds(self) -> bool:
        """Whether it was seen to hold; what was not observed does not."""
        return self.ratio is not None and self.ratio <= 1

    def to_json(self) -> dict[str, Any]:
        """The figure with its ratio and whether it holds."""
        return {**asdict(self), "ratio": self.ratio, "holds": self.holds}


def table(figures: Sequence[Figure]) -> str:
    """The figures as a Markdown table."""
    rows = [
        "| figure | measured | bound | ratio | holds | how |",
        "| --- | ---: | ---: | ---: | --- | --- |",
    ]
    for figure in figures:
        measured = "–" if figure.measured is None else f"{figure.measured:.4g} {figure.unit}"
        ratio = "–" if figure.ratio is None else f"{figure.ratio:.2f}"
        holds = "yes" if figure.holds else "NO"
        row = (figure.name, measured, f"{figure.bound:.4g} {figure.unit}", ratio, holds, figure.how)
        rows.append(f"| {' | '.join(row)} |")
    return "\n".join(rows)
