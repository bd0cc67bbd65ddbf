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


def tally(size: int, yes: int, no: int) -> Tally:
    """Tell whether a majority agreed, still can, or cannot any more.

    Args:
        size: How many were asked; each is counted once.
        yes: How many agreed.
        no: How many did not; silence, when it is final, counts as no.
    """
    if yes >= majority(size):
        return Tally.WON
    return Tally.PENDING if size - no >= majority(size) else Tally.LOST
