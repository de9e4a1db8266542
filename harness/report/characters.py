"""Text from the run made safe to show: a stack's names and a program's errors are whatever their authors wrote."""

from __future__ import annotations

import re

# Control characters (an escape sequence can repaint a terminal), direction overrides (they reorder a line so that it
# reads as something else), lone surrogates (they cannot be encoded) and noncharacters. Tab and newline stay.
_DECEPTIVE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]"
)
# What XML 1.0 has no way to hold, not even escaped. Source: w3.org/TR/xml, production 2, "Char".
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def visible(text: str) -> str:
    """The text with every character that would act instead of being read written as ``\\x1b`` or ``\\u202e``."""
    return _DECEPTIVE.sub(lambda found: _escaped(found[0]), text)


def one_line(text: str, limit: int) -> str:
    """The visible text on one line, cut after ``limit`` characters with the number left out said."""
    return clipped(" ".join(visible(text).split()), limit)


def clipped(text: str, limit: int) -> str:
    """The text, or its first ``limit`` characters and how many are missing."""
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text) - limit} more characters)"


def xml_text(text: str) -> str:
    """The text with U+FFFD for each character that XML cannot hold."""
    return _NOT_XML.sub("\ufffd", text)


def encodable_json(text: str) -> str:
    """JSON text that UTF-8 can encode: lone surrogates, which can only stand inside its strings, are escaped."""
    return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
