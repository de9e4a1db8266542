"""The whole text as one batch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.system.models.shape import CONTEXT
from harness.system.models.text import TEXT, encode

Tokens = NDArray[np.int64]


def examples() -> tuple[Tokens, Tokens]:
    """Every context of TEXT [examples, CONTEXT], and the token that follows each [examples]."""
    tokens = np.array(encode(TEXT), dtype=np.int64)
    windows = np.lib.stride_tricks.sliding_window_view(tokens, CONTEXT + 1)
    return np.ascontiguousarray(windows[:, :CONTEXT]), np.ascontiguousarray(windows[:, CONTEXT])
