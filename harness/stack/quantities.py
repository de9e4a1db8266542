"""Kubernetes quantities such as ``64Mi`` or ``500m``, and Prometheus byte sizes such as ``10GB``, as
numbers.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal

# Source: kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity
_SUFFIXES = {
    "": Decimal(1),
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "k": Decimal(10**3),
    "M": Decimal(10**6),
    "G": Decimal(10**9),
    "T": Decimal(10**12),
    "P": Decimal(10**15),
    "E": Decimal(10**18),
    **{unit: Decimal(1024**power) for power, unit in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), start=1)},
}
_QUANTITY = re.compile(
    r"(?P<number>[+-]?(?:\d+\.?\d*|\.\d+))(?:(?P<suffix>[KMGTPE]i|[numkMGTPE])|[eE](?P<power>[+-]?\d{1,3}))?"
)


def parse_quantity(text: str | int | float) -> Decimal:
    """The number a Kubernetes quantity stands for (``64Mi`` → 67108864, ``500m`` → 0.5).

    Raises ValueError when it is not one.
    """
    match = _QUANTITY.fullmatch(str(text))
    if match is None or isinstance(text, bool):
        raise ValueError(f"got {text!r}, need a quantity such as 64Mi, 2 or 500m")
    power = Decimal(10) ** int(match["power"]) if match["power"] else Decimal(1)
    return Decimal(match["number"]) * _SUFFIXES[match["suffix"] or ""] * power


def parse_bytes(text: str | int | float) -> int:
    """Whole bytes of a quantity of storage or memory, rounded up. Raises ValueError as ``parse_quantity`` does."""
    return math.ceil(parse_quantity(text))
