"""The ring: a node stands at many points of it; a slot begins at one, and walks on past nodes that have enough."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from hashlib import blake2b

from taskmesh.ring.node import RingNode

#: Points of a node of mean weight.
POINTS = 64


def place_of(text: str) -> int:
    """Return where a text stands on the ring, 0 to 2**64 - 1."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


class Points:
    """A ring of nodes, numbered as they were given."""

    def __init__(self, nodes: Sequence[RingNode]) -> None:
        """Place nodes in proportion to their weights; those that weigh nothing stand nowhere."""
        total = sum(node.weight for node in nodes)
        placed = sorted(
            (place_of(f"{node.id}#{number}"), at)
            for at, node in enumerate(nodes)
            if node.weight
            for number in range(max(1, POINTS * len(nodes) * node.weight // total))
        )
        self._places = [place for place, _ in placed]
        self._nodes = [at for _, at in placed]
        self._is_closed = [False] * len(nodes)
        self._open = set(self._nodes)
        # from each point to the next one whose node is open, halved on the way as in union-find
        self._next = list(range(len(placed)))

    def close(self, node: int) -> None:
        """Pass a node over from now on: it has enough."""
        self._is_closed[node] = True
        self._open.discard(node)

    def walk(self, place: int) -> Iterator[int]:
        """Return the open nodes from a place on, each once; those that are closed meanwhile come no more."""
        size = len(self._nodes)
        at, met = bisect_left(self._places, place) % size, set[int]()
        # not until all points are passed: the last open nodes stand at many, and many slots walk past them
        while not self._open <= met:
            at = self._open_from(at)
            node = self._nodes[at]
            if node not in met:
                met.add(node)
                yield node
            at = (at + 1) % size

    def _open_from(self, at: int) -> int:
        """Return the first point from here on whose node is open; there must be one."""
        size, next_ = len(self._nodes), self._next
        path, here = [], at
        while self._is_closed[self._nodes[here]]:
            path.append(here)
            here = next_[here] if next_[here] != here else (here + 1) % size
        for each in path:
            next_[each] = here
        return here
