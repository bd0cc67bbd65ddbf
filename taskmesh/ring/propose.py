"""The next table of slots, from the one before and the nodes that are there now.

First come different nodes, then different domains, then even shares, then little that moves: what a node keeps already
it goes on keeping, up to its quota.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from taskmesh.errors import UsageError
from taskmesh.ring.level import level
from taskmesh.ring.node import RingNode
from taskmesh.ring.place import Placement
from taskmesh.ring.points import Points, place_of
from taskmesh.ring.primaries import choose
from taskmesh.ring.quota import shares, whole
from taskmesh.ring.table import Table


def propose(slots: int, nodes: Sequence[RingNode], replicas: int, old: Table = ()) -> list[tuple[str, ...]]:
    """Return a table: for each slot the ids of its nodes, the primary first.

    Shares are within one copy of what weights say, as long as no node weighs more than 1/replicas of all and domains
    are alike; what moves is within 1.1 times of what has to.

    Args:
        slots: How many there are.
        nodes: All that may keep copies; those of weight 0 keep none.
        replicas: How many nodes keep each slot.
        old: The table before; empty for none. Nodes of it that are not among `nodes` are gone.

    Raises:
        UsageError: Fewer nodes with a weight than replicas, an id twice, or a table of another size.
    """
    _check(slots, nodes, replicas, old)
    able = sorted(node for node in nodes if node.weight)
    numbers = {node.id: at for at, node in enumerate(able)}
    before = [[numbers[node] for node in each if node in numbers] for each in old] or [[]] * slots
    domains = _domains(able)
    placement = Placement(slots, domains, replicas, len(set(domains)))
    _keep(placement, before)
    quotas = _quotas(able, domains, slots, replicas, [len(held) for held in placement.held])
    if any(len(each) < replicas for each in placement.slots):
        _fill(placement, Points(able), quotas)
    weights = [node.weight for node in able]
    _level(placement, before, quotas, weights)
    _order(placement, before)
    choose(placement.slots, weights, [each[0] if each else -1 for each in before])
    return [tuple(able[at].id for at in each) for each in placement.slots]


def _check(slots: int, nodes: Sequence[RingNode], replicas: int, old: Table) -> None:
    ids = [node.id for node in nodes]
    twice = next((each for each in ids if ids.count(each) > 1), None) if len(set(ids)) < len(ids) else None
    if twice is not None:
        raise UsageError(f"node {twice} is named twice; give each node once")
    able = sum(1 for node in nodes if node.weight)
    if replicas < 1 or able < replicas:
        raise UsageError(
            f"{replicas} copies of each slot cannot stand on {able} nodes: give as many nodes with a weight, or "
            "fewer replicas, 1 at least"
        )
    if slots < 1 or (old and len(old) != slots):
        raise UsageError(
            f"a table of {len(old)} slots is to become one of {slots}: the number of slots is fixed"
        )


def _domains(nodes: Sequence[RingNode]) -> list[int]:
    """Return each node's domain as a number; who names none is one of its own."""
    known: dict[tuple[str, str], int] = {}
    return [known.setdefault((node.domain, "" if node.domain else node.id), len(known)) for node in nodes]


def _keep(placement: Placement, before: Sequence[Sequence[int]]) -> None:
    """Leave copies where they are, as far as they may be there."""
    for slot, replicas in enumerate(before):
        for node in replicas:
            if len(placement.slots[slot]) < placement.width and placement.may_hold(slot, node):
                placement.add(slot, node)


def _quotas(
    nodes: Sequence[RingNode], domains: Sequence[int], slots: int, replicas: int, now: Sequence[int]
) -> list[int]:
    """Return how many copies each node is to keep: first by domain, of which a slot has so many, then within each."""
    members: dict[int, list[int]] = {}
    for at, domain in enumerate(domains):
        members.setdefault(domain, []).append(at)
    groups = [members[domain] for domain in sorted(members)]
    spare = max(0, replicas - len(groups))
    by_domain = whole(
        shares(
            slots * replicas,
            [sum(nodes[at].weight for at in group) for group in groups],
            [slots if len(groups) <= replicas else 0 for _ in groups],
            [slots * min(len(group), 1 + spare) for group in groups],
        ),
        [sum(now[at] for at in group) for group in groups],
    )
    quotas = [0] * len(nodes)
    for group, total in zip(groups, by_domain, strict=True):
        parts = shares(total, [nodes[at].weight for at in group], [0] * len(group), [slots] * len(group))
        for at, quota in zip(group, whole(parts, [now[at] for at in group]), strict=True):
            quotas[at] = quota
    return quotas


def _fill(placement: Placement, points: Points, quotas: Sequence[int]) -> None:
    """Give each slot the copies that it lacks: the next nodes on the ring that have not enough yet."""
    held = placement.held
    for node, quota in enumerate(quotas):
        if len(held[node]) >= quota:
            points.close(node)
    for slot, replicas in enumerate(placement.slots):
        lacking = placement.width - len(replicas)
        if not lacking:
            continue
        for node in _candidates(placement, points, slot, quotas):
            placement.add(slot, node)
            if len(held[node]) == quotas[node]:
                points.close(node)
            lacking -= 1
            if not lacking:
                break


def _candidates(placement: Placement, points: Points, slot: int, quotas: Sequence[int]) -> Iterator[int]:
    """Return nodes that may keep a slot: those with room by the ring, then those which exceed their quota least."""
    for node in points.walk(place_of(f"slot {slot}")):
        if len(placement.held[node]) < quotas[node] and placement.may_hold(slot, node):
            yield node
    order = sorted(range(len(quotas)), key=lambda at: (len(placement.held[at]) - quotas[at], at))
    for node in order:
        if placement.may_hold(slot, node):
            yield node


def _level(
    placement: Placement, before: Sequence[Sequence[int]], quotas: Sequence[int], weights: Sequence[int]
) -> None:
    """Take from those above their quota what those below it may keep."""
    counts = [len(held) for held in placement.held]
    # of how many slots each is to be the primary
    leads = shares(len(placement.slots), weights, [0] * len(quotas), quotas)

    def moves_from(giver: int, wanted: Sequence[int]) -> Iterator[tuple[int, Iterator[int]]]:
        held = sorted(placement.held[giver], key=_mixed)
        # what is not there yet costs nothing to place elsewhere
        new = [slot for slot in held if giver not in before[slot]]
        led = [slot for slot in held if before[slot][:1] == [giver]]
        # who gives away a slot that it need not lead any more hands nothing over
        spare = led[: max(0, len(led) - int(leads[giver]))]
        for slot in dict.fromkeys(new + spare + held):
            yield slot, placement.able(slot, wanted, instead_of=giver)

    level(counts, quotas, moves_from, placement.move)


def _mixed(slot: int) -> int:
    """Return the slot's place in an order that is no order, the same everywhere (Knuth's multiplicative hash)."""
    return slot * 2_654_435_761 & 0xFFFFFFFF


def _order(placement: Placement, before: Sequence[Sequence[int]]) -> None:
    """Put those that had a copy before first, in their old order: they are level, and what is new is not."""
    for replicas, had in zip(placement.slots, before, strict=True):
        places = {node: at for at, node in enumerate(had)}
        replicas.sort(key=lambda node: places.get(node, len(places)))
