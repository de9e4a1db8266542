"""When requests are due and what they ask, both repeatable from a seed."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

ARRIVALS = ("poisson", "uniform")

_WORDS = """
    the a this one every some no old new small large quiet bright distant broken river engine cluster letter
    garden signal teacher morning window market carries finds loses repeats answers follows breaks builds why
    how when where while until because slowly again never once today under over between
"""
_PROMPT_WORDS = (3, 24)


def planned_offsets(*, rate: float, arrivals: str, seed: int) -> Iterator[float]:
    """The instants at which requests are due, in seconds since the load began, ascending and without end.

    ``poisson``: independent arrivals, exponential gaps with mean 1/rate, as of many users who do not know of
    each other. ``uniform``: one every 1/rate seconds, the first at 0.
    """
    if arrivals == "uniform":
        return (number / rate for number in itertools.count())
    choices = random.Random(f"arrivals {seed}")
    return itertools.accumulate(choices.expovariate(rate) for _ in itertools.count())


def prompts(*, seed: int) -> Iterator[str]:
    """Prompts of varying length and wording, without end."""
    choices, words = random.Random(f"prompts {seed}"), _WORDS.split()
    while True:
        yield " ".join(choices.choices(words, k=choices.randint(*_PROMPT_WORDS)))
