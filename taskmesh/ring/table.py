"""The table of slots: for each, the ids of the nodes that keep it, the primary first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

#: Slot -> ids of its nodes, the primary first.
Table = Sequence[Sequence[str]]


def copies(table: Table) -> Counter[str]:
    """Return how many copies each node keeps."""
    return Counter(node for replicas in table for node in replicas)


def primaries(table: Table) -> Counter[str]:
    """Return of how many slots each node is the primary."""
    return Counter(replicas[0] for replicas in table if replicas)


def moved(old: Table, new: Table) -> int:
    """Return how many copies the new table asks for that the old one did not have: what has to travel."""
    return sum(len(set(after) - set(before)) for before, after in zip(old, new, strict=True))


def handed_over(old: Table, new: Table) -> int:
    """Return how many slots get another primary, though the one of before still keeps a copy."""
    return sum(
        bool(before) and before[0] != after[0] and before[0] in after
        for before, after in zip(old, new, strict=True)
    )
