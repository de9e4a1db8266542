"""The text the models learn, and its words as numbers.

>>> decode(encode("Alerts are requests."))
'alerts are requests.'
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

TEXT = (Path(__file__).parent / "text.txt").read_text(encoding="utf-8")

_TOKEN = re.compile(r"[a-z0-9]+(?:['-][a-z0-9]+)*|[.,;:!?]")
_UNKNOWN_WORD = "…"


def _words(text: str) -> list[str]:
    return _TOKEN.findall(text.lower())


_WORDS = (_UNKNOWN_WORD, *sorted(set(_words(TEXT))))
_TOKENS = {word: token for token, word in enumerate(_WORDS)}

UNKNOWN = 0
VOCABULARY_SIZE = len(_WORDS)


def encode(text: str) -> list[int]:
    """One token for each word and punctuation mark, without regard to case; UNKNOWN for those TEXT lacks."""
    return [_TOKENS.get(word, UNKNOWN) for word in _words(text)]


def decode(tokens: Sequence[int]) -> str:
    """The words, lower case, a blank between them. Raises ValueError for a number that is no token."""
    for token in tokens:
        if not 0 <= token < VOCABULARY_SIZE:
            raise ValueError(f"token {token}: need one of 0 to {VOCABULARY_SIZE - 1}")
    return re.sub(r" (?=[.,;:!?])", "", " ".join(_WORDS[token] for token in tokens))
