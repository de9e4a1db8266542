"""Where in the manifests something stands, so that every mistake names file, document and key path."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.errors import Mistake


@dataclass(frozen=True, slots=True)
class Place:
    """A value's place: its file, the document's number (None where the file holds one), and the keys down
    to it.
    """

    file: Path
    document: int | None = None
    keys: tuple[str | int, ...] = ()

    def at(self, *keys: str | int) -> Place:
        """The place of something inside this one."""
        return Place(self.file, self.document, self.keys + keys)

    def where(self) -> str:
        """The key path as a mistake prints it, e.g. ``document 2: spec.groups[0].rules[1].expr``."""
        path = ""
        for key in self.keys:
            path += f"[{key}]" if isinstance(key, int) else f".{key}" if path else key
        document = None if self.document is None else f"document {self.document}"
        return ": ".join(part for part in (document, path) if part)

    def mistake(self, problem: str) -> Mistake:
        """A mistake at this place."""
        return Mistake(self.file, self.where(), problem)

    def __str__(self) -> str:
        return ": ".join(part for part in (str(self.file), self.where()) if part)
