"""Commands on hashes."""

from __future__ import annotations

from itertools import chain

from taskmesh.testing.node_commands.numbers import INT64_MAX, INT64_MIN, parse_int
from taskmesh.testing.node_commands.scanning import scanned
from taskmesh.testing.node_commands.strings import OVERFLOW
from taskmesh.testing.node_commands.values import (
    Arguments,
    CommandError,
    HashValue,
    NodeState,
    Reply,
    hash_at,
    wrong_arguments,
)

_EMPTY = HashValue()


def _hash_to_grow(state: NodeState, key: bytes) -> HashValue:
    value = hash_at(state, key)
    if value is None:
        value = state.values[key] = HashValue()
    return value


def hset(state: NodeState, argv: Arguments) -> Reply:
    """HSET key field value...: returns how many fields are new."""
    if len(argv) % 2:
        raise wrong_arguments("hset")
    value = _hash_to_grow(state, argv[1])
    before = len(value)
    value.update(zip(argv[2::2], argv[3::2], strict=True))
    return len(value) - before


def hsetnx(state: NodeState, argv: Arguments) -> Reply:
    """HSETNX key field value."""
    value = _hash_to_grow(state, argv[1])
    if argv[2] in value:
        return 0
    value[argv[2]] = argv[3]
    return 1


def hget(state: NodeState, argv: Arguments) -> Reply:
    """HGET key field."""
    return (hash_at(state, argv[1]) or _EMPTY).get(argv[2])


def hmget(state: NodeState, argv: Arguments) -> Reply:
    """HMGET key field..."""
    value = hash_at(state, argv[1]) or _EMPTY
    return [value.get(field) for field in argv[2:]]


def hgetall(state: NodeState, argv: Arguments) -> Reply:
    """HGETALL key."""
    return list(chain.from_iterable((hash_at(state, argv[1]) or _EMPTY).items()))


def hdel(state: NodeState, argv: Arguments) -> Reply:
    """HDEL key field..."""
    value = hash_at(state, argv[1])
    if value is None:
        return 0
    before = len(value)
    for field in argv[2:]:
        value.pop(field, None)
    if not value:
        del state.values[argv[1]]
    return before - len(value)


def hscan(state: NodeState, argv: Arguments) -> Reply:
    """HSCAN key cursor [COUNT count]: everything at once, as a real node does with a small hash."""
    return scanned(argv, lambda: hgetall(state, argv))


def hexists(state: NodeState, argv: Arguments) -> Reply:
    """HEXISTS key field."""
    return int(argv[2] in (hash_at(state, argv[1]) or _EMPTY))


def hincrby(state: NodeState, argv: Arguments) -> Reply:
    """HINCRBY key field amount."""
    amount = parse_int(argv[3])
    value = hash_at(state, argv[1]) or _EMPTY
    total = parse_int(value.get(argv[2], b"0"), "ERR hash value is not an integer") + amount
    if not INT64_MIN <= total <= INT64_MAX:
        raise CommandError(OVERFLOW)
    _hash_to_grow(state, argv[1])[argv[2]] = b"%d" % total
    return total


def hlen(state: NodeState, argv: Arguments) -> Reply:
    """HLEN key."""
    return len(hash_at(state, argv[1]) or _EMPTY)


def hkeys(state: NodeState, argv: Arguments) -> Reply:
    """HKEYS key."""
    return list(hash_at(state, argv[1]) or _EMPTY)


def hvals(state: NodeState, argv: Arguments) -> Reply:
    """HVALS key."""
    return list((hash_at(state, argv[1]) or _EMPTY).values())
