"""Commands on sets. What is drawn at random comes from the node's own seeded generator."""

from __future__ import annotations

from taskmesh.testing.node_commands.numbers import parse_count, parse_int
from taskmesh.testing.node_commands.scanning import scanned
from taskmesh.testing.node_commands.values import (
    SYNTAX,
    Arguments,
    CommandError,
    NodeState,
    Reply,
    SetValue,
    set_at,
)


def sadd(state: NodeState, argv: Arguments) -> Reply:
    """SADD key member..."""
    value = set_at(state, argv[1])
    if value is None:
        value = state.values[argv[1]] = SetValue()
    before = len(value)
    value.update(dict.fromkeys(argv[2:]))
    return len(value) - before


def srem(state: NodeState, argv: Arguments) -> Reply:
    """SREM key member..."""
    value = set_at(state, argv[1])
    if value is None:
        return 0
    before = len(value)
    for member in argv[2:]:
        value.pop(member, None)
    if not value:
        del state.values[argv[1]]
    return before - len(value)


def scard(state: NodeState, argv: Arguments) -> Reply:
    """SCARD key."""
    return len(set_at(state, argv[1]) or ())


def sismember(state: NodeState, argv: Arguments) -> Reply:
    """SISMEMBER key member."""
    return int(argv[2] in (set_at(state, argv[1]) or ()))


def smembers(state: NodeState, argv: Arguments) -> Reply:
    """SMEMBERS key."""
    return list(set_at(state, argv[1]) or ())


def sscan(state: NodeState, argv: Arguments) -> Reply:
    """SSCAN key cursor [COUNT count]: everything at once, as a real node does with a small set."""
    return scanned(argv, lambda: smembers(state, argv))


def spop(state: NodeState, argv: Arguments) -> Reply:
    """SPOP key [count]."""
    if len(argv) > 3:
        raise CommandError(SYNTAX)
    count = parse_count(argv[2]) if len(argv) == 3 else None
    value = set_at(state, argv[1])
    if value is None:
        return None if count is None else []
    taken = state.random.sample(list(value), min(1 if count is None else count, len(value)))
    for member in taken:
        del value[member]
    if not value:
        del state.values[argv[1]]
    return taken[0] if count is None else list(taken)


def srandmember(state: NodeState, argv: Arguments) -> Reply:
    """SRANDMEMBER key [count]: distinct members, or any when `count` is negative."""
    if len(argv) > 3:
        raise CommandError(SYNTAX)
    count = parse_int(argv[2]) if len(argv) == 3 else None
    members = list(set_at(state, argv[1]) or ())
    if not members:
        return None if count is None else []
    if count is None:
        return state.random.choice(members)
    if count < 0:
        return list(state.random.choices(members, k=-count))
    return list(state.random.sample(members, min(count, len(members))))
