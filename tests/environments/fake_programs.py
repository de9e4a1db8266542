"""Programs of a cluster's, each a script that is told what it will be asked."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

# Answers each call it was told to expect once; a call that was not expected is an error of its own.
PROGRAM = """\
#!/bin/sh
cd "$(dirname "$0")/$(basename "$0").calls" || exit 99
said=$(printf '%s\\n' "$@")
for call in call-*; do
    [ -d "$call" ] && [ "$(cat "$call/argv")" = "$said" ] || continue
    mv "$call" "done-$call" && cd "done-$call" || exit 99
    cat > given
    cat out; cat err >&2
    . ./then
done
echo "not expected: $*" >&2
printf '%s\\n' "$*" >> not-expected
exit 99
"""


class Program:
    """A program of this name, first on PATH, which a test tells what it will be asked."""

    def __init__(self, folder: Path, name: str) -> None:
        self.path = folder / name
        self._calls = folder / f"{name}.calls"
        self._calls.mkdir()
        self.path.write_text(PROGRAM, encoding="utf-8")
        self.path.chmod(0o755)
        self._told = 0

    def expects(self, *argv: str, out: str = "", err: str = "", code: int = 0, then: str = "") -> None:
        """One call with exactly these arguments; ``then`` are commands it runs at its end."""
        self._told += 1
        call = self._calls / f"call-{self._told:03d}"
        call.mkdir()
        for name, text in {"argv": "\n".join(argv), "out": out, "err": err, "then": f"{then}\nexit {code}\n"}.items():
            (call / name).write_text(text, encoding="utf-8")

    def given(self, number: int = 1) -> str:
        """What the call that was told as this one got on standard input."""
        return (self._calls / f"done-call-{number:03d}" / "given").read_text(encoding="utf-8")


def left_in(calls: Path) -> list[str]:
    """Calls that were expected and did not come, and those that came unexpected."""
    waiting = [(path / "argv").read_text(encoding="utf-8") for path in sorted(calls.glob("call-*"))]
    extra = calls / "not-expected"
    return [*waiting, *(extra.read_text(encoding="utf-8").splitlines() if extra.exists() else [])]


class FakeKubectl(Program):
    """``kubectl`` for one kubeconfig and context: any other is a call that was not expected."""

    def __init__(self, folder: Path, kubeconfig: Path, context: str) -> None:
        super().__init__(folder, "kubectl")
        self.cluster = (f"--kubeconfig={kubeconfig}", f"--context={context}")

    def asked(self, *argv: str, timeout_s: int = 60, **answer: Any) -> None:
        """One call of ``Kubectl.run``."""
        self.expects(*self.cluster, "--request-timeout", f"{timeout_s}s", *argv, **answer)


@contextmanager
def on_path(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of programs, first on PATH; at the end each was asked just what it was told to expect."""
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    yield folder
    assert {str(calls.name): left for calls in folder.glob("*.calls") if (left := left_in(calls))} == {}
