"""From those who have more than their quota to those who have less, by as few moves as can be found."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence

#: (what is moved, to whom it may go)
Moves = Iterable[tuple[int, Iterable[int]]]


def level(
    counts: list[int],
    quotas: Sequence[int],
    moves_from: Callable[[int, Sequence[int]], Moves],
    move: Callable[[int, int, int], None],
) -> None:
    """Move single things until everybody has its quota, or nothing leads there any more.

    Each time along a shortest chain: most often straight, and else by way of others, who keep as many as they had.

    Args:
        counts: What each has; is kept up to date.
        quotas: What each is to have.
        moves_from: Of somebody and of those whom it would like to reach: what it could give, and to which of them.
            What it returns stays as it was at its call while things are moved.
        move: Moves a thing from one to another.
    """
    everybody = range(len(counts))
    for giver in everybody:
        if counts[giver] <= quotas[giver]:
            continue
        takers = sorted(
            (at for at in everybody if counts[at] < quotas[at]), key=lambda at: (counts[at] - quotas[at], at)
        )
        for thing, able in moves_from(giver, takers):
            taker = next((at for at in able if counts[at] < quotas[at]), -1)
            if taker >= 0:
                move(thing, giver, taker)
                counts[giver] -= 1
                counts[taker] += 1
                if counts[giver] == quotas[giver]:
                    break
    for giver in everybody:
        while counts[giver] > quotas[giver]:
            chain = _chain(giver, counts, quotas, moves_from)
            if not chain:
                break
            for old, thing, new in reversed(chain):
                move(thing, old, new)
            counts[giver] -= 1
            counts[chain[-1][2]] += 1


def _chain(
    giver: int,
    counts: Sequence[int],
    quotas: Sequence[int],
    moves_from: Callable[[int, Sequence[int]], Moves],
) -> list[tuple[int, int, int]]:
    """Return the moves of a shortest chain from a giver to somebody with less than its quota; none if there is none."""
    came: dict[int, tuple[int, int]] = {giver: (-1, -1)}
    # nobody else gives a thing that one of the chain gives: two moves of it could not both be made
    given_by: dict[int, int] = {}
    left = [at for at in range(len(counts)) if at != giver]
    queue = deque([giver])
    while queue and left:
        old = queue.popleft()
        for thing, able in moves_from(old, left):
            if given_by.setdefault(thing, old) != old:
                continue
            known = len(came)
            for new in able:
                if new in came:
                    continue
                came[new] = old, thing
                if counts[new] < quotas[new]:
                    return _way(came, new)
                queue.append(new)
            if len(came) > known:
                left = [at for at in left if at not in came]
                if not left:
                    break
    return []


def _way(came: dict[int, tuple[int, int]], end: int) -> list[tuple[int, int, int]]:
    moves = []
    while came[end][0] >= 0:
        old, thing = came[end]
        moves.append((old, thing, end))
        end = old
    return moves[::-1]
