"""The shipped stack with what is added to it in a cluster."""

from __future__ import annotations

import shutil
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
STACK = CHECKOUT / "fixtures" / "stack"
CLUSTER = CHECKOUT / "fixtures" / "cluster"


def merged(root: Path) -> Path:
    """A directory with both."""
    into = root / "merged"
    shutil.copytree(STACK, into)
    for path in sorted(CLUSTER.glob("*.yaml")):
        assert not (into / path.name).exists(), f"{path.name} would take the place of another"
        shutil.copy(path, into)
    return into
