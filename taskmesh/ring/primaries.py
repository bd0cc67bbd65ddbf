"""Which of a slot's nodes is its primary: by weight, and the one that it was wherever that is even enough."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil

from taskmesh.ring.level import level
from taskmesh.ring.quota import shares, whole


def choose(slots: list[list[int]], weights: Sequence[int], before: Sequence[int]) -> None:
    """Put each slot's primary first.

    Args:
        slots: The nodes of each slot; the first is the one that would rather be left the primary.
        weights: Of the nodes.
        before: The primary of each slot until now; -1 for none.
    """
    holds = [0] * len(weights)
    led: list[dict[int, None]] = [{} for _ in weights]
    for slot, replicas in enumerate(slots):
        led[replicas[0]][slot] = None
        for node in replicas:
            holds[node] += 1
    counts = [len(each) for each in led]
    parts = shares(len(slots), weights, [0] * len(weights), holds)

    def moves_from(giver: int, wanted: Sequence[int]) -> Iterator[tuple[int, Iterator[int]]]:
        looked_for = set(wanted)
        for slot in sorted(led[giver], key=lambda slot: before[slot] == giver):
            yield slot, (node for node in slots[slot][1:] if node in looked_for)

    def move(slot: int, old: int, new: int) -> None:
        replicas = slots[slot]
        replicas.remove(new)
        replicas.insert(0, new)
        del led[old][slot]
        led[new][slot] = None

    level(counts, whole(parts, counts), moves_from, move)
    # those who were to be rounded up may share their slots: then others are
    level(counts, [ceil(part) for part in parts], moves_from, move)
