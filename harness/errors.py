"""What can go wrong, by who has to act: the author of an input, or the harness itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


class HarnessError(Exception):
    """The harness could not do its work (exit code 4)."""


class PodGone(HarnessError):
    """A pod is no longer there, and with it whatever was broken in it that does not outlive a pod."""


class StackNotReady(HarnessError):
    """The stack did not come up: its own fault, as far as anybody can see, and so a verdict on it.

    ``pods`` maps each pod that is not ready to why, with the last lines it wrote.
    """

    def __init__(self, *, waited_s: float, pods: Mapping[str, str]) -> None:
        self.waited_s = waited_s
        self.pods = dict(pods)
        named = "\n".join(f"{name}: {why}" for name, why in self.pods.items())
        super().__init__(f"not ready within {waited_s:g} s:\n{named}")


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing wrong with one input, in the words of whoever must correct it.

    ``where`` is the key path inside the file (``extensions[0].expect.alerts[2].within``), with the document's
    number in front when the file holds several (``document 2: spec.groups[0]``); empty for the whole file.
    """

    file: Path | str
    where: str
    problem: str

    def __str__(self) -> str:
        return ": ".join(part for part in (str(self.file), self.where, self.problem) if part)


class InputError(Exception):
    """Some input is wrong (exit code 3); every mistake found is listed, and nothing was touched."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(str(mistake) for mistake in self.mistakes))
