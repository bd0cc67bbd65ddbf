"""Counting answers until a majority has decided."""

from __future__ import annotations

from enum import Enum


class Tally(Enum):
    """Where a count stands."""

    PENDING = "pending"
    WON = "won"
    LOST = "lost"


def majority(size: int) -> int:
    """Return how many of `size` acceptors any two quorums have one in common with."""
    return size // 2 + 1


class Quorum:
    """A count of who agreed, of a known number of acceptors.

    Each acceptor counts once, whatever it says later: a repeated answer is no second vote.
    """

    __slots__ = ("_no", "_size", "_yes")

    def __init__(self, size: int) -> None:
        """Begin a count among `size` acceptors."""
        self._size = size
        self._yes: set[int] = set()
        self._no: set[int] = set()

    def count(self, acceptor: int, *, agrees: bool) -> None:
        """Note an answer; silence, when it is final, counts as no."""
        if acceptor not in self._yes and acceptor not in self._no:
            (self._yes if agrees else self._no).add(acceptor)

    @property
    def tally(self) -> Tally:
        """Whether a majority agreed, still can, or cannot any more."""
        if len(self._yes) >= majority(self._size):
            return Tally.WON
        if self._size - len(self._no) < majority(self._size):
            return Tally.LOST
        return Tally.PENDING
