"""Latencies as counts in logarithmic buckets: small, mergeable, and exact to one percent."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

# A quantile read back is within this share of the sample it stands for.
RELATIVE_ERROR = 0.01
# Shorter times are counted as this long; no network answers faster.
SHORTEST_S = 1e-6

# Bucket i holds (_GROWTH ** (i - 1), _GROWTH ** i]. Its representative, the harmonic mean of the two ends, is
# then at most RELATIVE_ERROR away from everything in the bucket.
# Source: Masson, Rim, Lee: DDSketch, VLDB 2019, section 2.1.
_GROWTH = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
_LOG_GROWTH = math.log(_GROWTH)
# Products such as 0.07 * 100 come out a hair above the whole number they stand for.
_ROUNDING = 1e-9


def bucket_of(latency_s: float) -> int:
    """The index of the bucket a latency is counted in.

    Raises ValueError for a negative latency, NaN and infinity: none of them is a time somebody waited.
    """
    if not 0 <= latency_s < math.inf:
        raise ValueError(f"a latency cannot be {latency_s} s")
    return math.ceil(math.log(max(latency_s, SHORTEST_S)) / _LOG_GROWTH)


@dataclass(frozen=True, slots=True)
class Latencies:
    """How often each latency was seen, by bucket index (see ``bucket_of``); counts are positive.

    Merging adds counts, so figures of windows, phases and processes combine without loss.
    As JSON: bucket index as a string → count.
    """

    buckets: Mapping[int, int] = field(default_factory=dict)

    @classmethod
    def from_samples(cls, samples_s: Iterable[float]) -> Latencies:
        """The latencies counted; raises ValueError as ``bucket_of`` does."""
        return cls(Counter(map(bucket_of, samples_s)))

    @classmethod
    def from_json(cls, raw: Mapping[str, int]) -> Latencies:
        """What ``to_json`` wrote. Raises ValueError naming the first key or count that cannot be one."""
        buckets: Counter[int] = Counter()
        for index, count in raw.items():
            if not isinstance(count, int) or isinstance(count, bool) or count < 1:
                raise ValueError(f"latency bucket {index!r}: got {count!r}, expected a whole number above 0")
            buckets[_index(index)] += count
        return cls(buckets)

    def to_json(self) -> dict[str, int]:
        """Bucket index as a string → count, shortest latencies first."""
        return {str(index): self.buckets[index] for index in sorted(self.buckets)}

    @property
    def count(self) -> int:
        """How many latencies were seen."""
        return sum(self.buckets.values())

    def add(self, latency_s: float) -> Latencies:
        """These latencies and one more; raises ValueError as ``bucket_of`` does."""
        return self.merge(Latencies({bucket_of(latency_s): 1}))

    def merge(self, *others: Latencies) -> Latencies:
        """All of them together, in any order and grouping."""
        merged = Counter(self.buckets)
        for other in others:
            merged.update(other.buckets)
        return Latencies(merged)

    def quantile(self, q: float) -> float | None:
        """The latency that a share ``q`` (0–1) of the requests did not exceed, in seconds; None if empty.

        It is the smallest sample with at least ``q`` of all samples at or below it (nearest rank, no
        interpolation), to within RELATIVE_ERROR. Raises ValueError when ``q`` is outside 0–1.
        """
        if not 0 <= q <= 1:
            raise ValueError(f"a quantile is between 0 and 1, got {q}")
        rank = max(1, math.ceil(q * self.count - _ROUNDING))
        seen = 0
        for index in sorted(self.buckets):
            seen += self.buckets[index]
            if seen >= rank:
                return 2 * _GROWTH**index / (_GROWTH + 1)
        return None


def _index(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise ValueError(f"latency bucket {text!r}: expected a whole number as index") from error
