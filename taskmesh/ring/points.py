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
        # from each point to the next one whose node is open, halved on the way as in union-find
        self._next = list(range(len(placed)))

    def close(self, node: int) -> None:
        """Pass a node over from now on: it has enough."""
        self._is_closed[node] = True

    def walk(self, place: int) -> Iterator[int]:
        """Return open nodes from a place on, once around; one that stands at several points comes several times."""
        size = len(self._nodes)
        begun = bisect_left(self._places, place) % size
        at, gone = begun, 0
        while gone < size:
            found = self._open_from(at)
            if found < 0:
                return
            gone += (found - at) % size + 1
            yield self._nodes[found]
            at = (found + 1) % size

    def _open_from(self, at: int) -> int:
        """Return the first point from here on whose node is open; -1 where none is."""
        size, next_ = len(self._nodes), self._next
        gone, path, here = 0, [], at
        while self._is_closed[self._nodes[here]]:
            path.append(here)
            step = next_[here] if next_[here] != here else (here + 1) % size
            gone += (step - here) % size
            if gone >= size:
                return -1
            here = step
        for each in path:
            next_[each] = here
        return here
