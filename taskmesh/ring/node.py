"""A node as placement sees it."""

from __future__ import annotations

from dataclasses import dataclass

from taskmesh.errors import UsageError

#: What a node weighs when nothing is said.
WEIGHT = 100
WEIGHT_MAX = 1_000_000


@dataclass(frozen=True, slots=True, order=True)
class RingNode:
    """A node that may keep copies.

    Attributes:
        id: It stays the same for as long as the node keeps its data.
        weight: How much it keeps, in proportion to others; 0 for nothing: it is being drained.
        domain: What fails together with it: a host, a rack, a zone. Empty: it fails alone.

    Raises:
        UsageError: The weight is not 0 to 1,000,000, or there is no id.
    """

    id: str
    weight: int = WEIGHT
    domain: str = ""

    def __post_init__(self) -> None:
        if not self.id:
            raise UsageError("a node has no id; give it a text that no other node has")
        if not 0 <= self.weight <= WEIGHT_MAX:
            raise UsageError(f"node {self.id} has weight {self.weight}: expected 0 to {WEIGHT_MAX:,}")
