"""How many copies each node is to keep: in proportion to weights, within bounds, in whole numbers."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache


def shares(total: int, weights: Sequence[int], least: Sequence[int], most: Sequence[int]) -> list[Fraction]:
    """Divide a total in proportion to weights, but for those whom a bound holds: water that fills vessels.

    Args:
        total: What to divide; between the sums of `least` and `most`.
        weights: Of each; whoever weighs nothing gets the least.
        least: Lower bounds, each at most its upper one.
        most: Upper bounds.
    """
    return [*_shares(total, tuple(weights), tuple(least), tuple(most))]


# one mesh asks the same again and again, and fractions are slow
@lru_cache(maxsize=256)
def _shares(
    total: int, weights: tuple[int, ...], least: tuple[int, ...], most: tuple[int, ...]
) -> tuple[Fraction, ...]:
    # the level at which each vessel begins to fill, and at which it is full
    turns = sorted(
        turn
        for weight, low, high in zip(weights, least, most, strict=True)
        if weight
        for turn in ((Fraction(low, weight), weight), (Fraction(high, weight), -weight))
    )
    filled, slope, level = Fraction(sum(least)), 0, Fraction(0)
    for at, change in turns:
        if slope and filled + slope * (at - level) >= total:
            break
        filled += slope * (at - level)
        level, slope = at, slope + change
    if slope:
        level += (total - filled) / slope
    return tuple(
        min(max(level * weight, Fraction(low)), Fraction(high)) if weight else Fraction(low)
        for weight, low, high in zip(weights, least, most, strict=True)
    )


def whole(parts: Sequence[Fraction], now: Sequence[int]) -> list[int]:
    """Round parts whose sum is whole, each up or down, to whole numbers of the same sum.

    Rounded up are first those that have more than their part rounded down already, so that little moves; then
    those with the largest remainder.

    Args:
        parts: What each is to get.
        now: What each has.
    """
    floors = [part.numerator // part.denominator for part in parts]
    rest = int(sum(parts)) - sum(floors)
    order = sorted(
        (at for at, part in enumerate(parts) if part != floors[at]),
        key=lambda at: (now[at] <= floors[at], floors[at] - parts[at], at),
    )
    for at in order[:rest]:
        floors[at] += 1
    return floors
