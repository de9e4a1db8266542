"""What the Prometheus and Alertmanager objects select, as the operator decides it, and what they do not and
why.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from harness.stack.inventory import Found, Inventory
from harness.stack.schema import LabelSelector, Manifest

M = TypeVar("M", bound=Manifest)


@dataclass(frozen=True, slots=True)
class Choice:
    """One pair of selectors of an operated object.

    A ``selector`` that is None selects nothing, an empty one everything; a ``namespaces`` selector that is
    None means the object's own ``namespace``.
    """

    owner: str
    namespace: str
    key: str
    selector: LabelSelector | None
    namespaces: LabelSelector | None

    def refusal(self, found: Found[M], inventory: Inventory) -> str | None:
        """Why this object is not selected; None when it is."""
        metadata = found.manifest.metadata
        if self.selector is None:
            return f"{self.owner} has no {self.key}, which selects nothing"
        if self.namespaces is None and metadata.namespace != self.namespace:
            return f"{self.owner} looks only in its own namespace, {self.namespace}"
        if self.namespaces and not self.namespaces.selects(inventory.namespace_labels(metadata.namespace)):
            name = self.key.removesuffix("Selector") + "NamespaceSelector"
            return f"namespace {metadata.namespace} does not match {name} of {self.owner}"
        if not self.selector.selects(metadata.labels):
            shown = ", ".join(f"{key}={value}" for key, value in sorted(metadata.labels.items())) or "none"
            return f"its labels ({shown}) do not match {self.key} of {self.owner}"
        return None


def choose(
    candidates: Iterable[Found[M]], choice: Choice, inventory: Inventory
) -> tuple[tuple[Found[M], ...], tuple[str, ...]]:
    """The selected ones in the order of namespace and name, and a line with the reason for each of the
    others.
    """
    selected: list[Found[M]] = []
    refused: list[str] = []
    for found in candidates:
        reason = choice.refusal(found, inventory)
        if reason is None:
            selected.append(found)
        else:
            refused.append(f"{found.title} in {found.manifest.metadata.namespace}: {reason}")
    return tuple(sorted(selected, key=lambda one: one.key)), tuple(refused)


def namespaces_of(*, any_namespace: bool, names: Sequence[str], own: str) -> tuple[str, ...] | None:
    """The namespaces a monitor looks in: None for all of them, its own where it names none."""
    return None if any_namespace else tuple(names) or (own,)
