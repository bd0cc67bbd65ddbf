"""Copies on nodes, while a table is being made: who keeps what, and whether a node may keep a slot as well."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence


class Placement:
    """Slots and their nodes, both by number.

    Attributes:
        slots: The nodes of each slot, in the order in which they came.
        held: The slots of each node, as a dict that keeps them in order.
        width: How many copies a slot is to have.
    """

    def __init__(self, count: int, domains: Sequence[int], width: int, domain_count: int) -> None:
        """Begin with nothing.

        Args:
            count: Slots.
            domains: The domain of each node, as a number.
            width: Copies of a slot.
            domain_count: How many domains there are to choose from.
        """
        self.slots: list[list[int]] = [[] for _ in range(count)]
        self.held: list[dict[int, None]] = [{} for _ in domains]
        self.width = width
        self._domains = domains
        self._doubles_max = max(0, width - domain_count)

    def may_hold(self, slot: int, node: int) -> bool:
        """Tell whether a node may keep a slot beside the others of it."""
        return next(self.able(slot, (node,)), -1) == node

    def able(self, slot: int, nodes: Iterable[int], instead_of: int = -1) -> Iterator[int]:
        """Return those of some nodes that may keep a slot, beside the others of it or instead of one of them.

        Copies of a slot stand on different nodes, and in as many domains as there are.
        """
        others = [other for other in self.slots[slot] if other != instead_of]
        domains = self._domains
        there = {domains[other] for other in others}
        doubles_more = self._doubles_max - (len(others) - len(there))
        for node in nodes:
            if node not in others and doubles_more >= (domains[node] in there):
                yield node

    def add(self, slot: int, node: int) -> None:
        """Let a node keep a slot."""
        self.slots[slot].append(node)
        self.held[node][slot] = None

    def drop(self, slot: int, node: int) -> None:
        """Take a slot from a node."""
        self.slots[slot].remove(node)
        del self.held[node][slot]

    def move(self, slot: int, old: int, new: int) -> None:
        """Let a node keep a slot instead of another one."""
        self.drop(slot, old)
        self.add(slot, new)
