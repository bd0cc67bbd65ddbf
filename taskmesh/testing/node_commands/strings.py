"""Commands on strings."""

from __future__ import annotations

from taskmesh.testing.node_commands.numbers import INT64_MAX, INT64_MIN, parse_int
from taskmesh.testing.node_commands.values import (
    OK,
    SYNTAX,
    Arguments,
    CommandError,
    NodeState,
    NotSimulated,
    Reply,
    string_at,
    wrong_arguments,
)

STRING_BYTES_MAX = 512 * 1024 * 1024
OVERFLOW = "ERR increment or decrement would overflow"
TOO_LONG = "ERR string exceeds maximum allowed size (proto-max-bulk-len)"


def get(state: NodeState, argv: Arguments) -> Reply:
    """GET key."""
    return string_at(state, argv[1])


def set_(state: NodeState, argv: Arguments) -> Reply:
    """SET key value [NX | XX] [GET]."""
    key = argv[1]
    if len(argv) == 3:
        state.values[key] = argv[2]
        return OK
    absent = present = answer_old = False
    for word in argv[3:]:
        option = word.upper()
        if option == b"NX" and not present:
            absent = True
        elif option == b"XX" and not absent:
            present = True
        elif option == b"GET":
            answer_old = True
        elif option in (b"EX", b"PX", b"EXAT", b"PXAT", b"KEEPTTL", b"IFEQ"):
            raise NotSimulated(f"SET with {option.decode()}")
        else:
            raise CommandError(SYNTAX)
    old = string_at(state, key) if answer_old else None
    exists = key in state.values
    refused = exists if absent else present and not exists
    if not refused:
        state.values[key] = argv[2]
    if answer_old:
        return old
    return None if refused else OK


def setnx(state: NodeState, argv: Arguments) -> Reply:
    """SETNX key value."""
    if argv[1] in state.values:
        return 0
    state.values[argv[1]] = argv[2]
    return 1


def getdel(state: NodeState, argv: Arguments) -> Reply:
    """GETDEL key."""
    value = string_at(state, argv[1])
    if value is not None:
        del state.values[argv[1]]
    return value


def mget(state: NodeState, argv: Arguments) -> Reply:
    """MGET key...: a key of another type counts as absent."""
    found = (state.values.get(key) for key in argv[1:])
    return [value if isinstance(value, bytes) else None for value in found]


def mset(state: NodeState, argv: Arguments) -> Reply:
    """MSET key value..."""
    if len(argv) % 2 == 0:
        raise wrong_arguments("mset")
    state.values.update(zip(argv[1::2], argv[2::2], strict=True))
    return OK


def msetnx(state: NodeState, argv: Arguments) -> Reply:
    """MSETNX key value..."""
    if len(argv) % 2 == 0:
        raise wrong_arguments("msetnx")
    if any(key in state.values for key in argv[1::2]):
        return 0
    state.values.update(zip(argv[1::2], argv[2::2], strict=True))
    return 1


def append(state: NodeState, argv: Arguments) -> Reply:
    """APPEND key value."""
    whole = (string_at(state, argv[1]) or b"") + argv[2]
    state.values[argv[1]] = whole
    return len(whole)


def strlen(state: NodeState, argv: Arguments) -> Reply:
    """STRLEN key."""
    return len(string_at(state, argv[1]) or b"")


def setrange(state: NodeState, argv: Arguments) -> Reply:
    """SETRANGE key offset value: pads with zero bytes; an empty value changes nothing."""
    offset, piece = parse_int(argv[2]), argv[3]
    if offset < 0:
        raise CommandError("ERR offset is out of range")
    old = string_at(state, argv[1]) or b""
    if not piece:
        return len(old)
    if offset + len(piece) > STRING_BYTES_MAX:
        raise CommandError(TOO_LONG)
    new = old[:offset].ljust(offset, b"\0") + piece + old[offset + len(piece) :]
    state.values[argv[1]] = new
    return len(new)


def getrange(state: NodeState, argv: Arguments) -> Reply:
    """GETRANGE key start end: both ends included, negative ones counted from the end."""
    start, end = parse_int(argv[2]), parse_int(argv[3])
    text = string_at(state, argv[1]) or b""
    if start < 0 and end < 0 and start > end:
        return b""
    start = max(start + len(text), 0) if start < 0 else start
    end = max(end + len(text), 0) if end < 0 else end
    return text[start : end + 1]


def _add(state: NodeState, key: bytes, amount: int) -> int:
    old = string_at(state, key)
    total = (0 if old is None else parse_int(old)) + amount
    if not INT64_MIN <= total <= INT64_MAX:
        raise CommandError(OVERFLOW)
    state.values[key] = b"%d" % total
    return total


def incr(state: NodeState, argv: Arguments) -> Reply:
    """INCR key."""
    return _add(state, argv[1], 1)


def decr(state: NodeState, argv: Arguments) -> Reply:
    """DECR key."""
    return _add(state, argv[1], -1)


def incrby(state: NodeState, argv: Arguments) -> Reply:
    """INCRBY key amount."""
    return _add(state, argv[1], parse_int(argv[2]))


def decrby(state: NodeState, argv: Arguments) -> Reply:
    """DECRBY key amount."""
    amount = parse_int(argv[2])
    if amount == INT64_MIN:
        raise CommandError("ERR decrement would overflow")
    return _add(state, argv[1], -amount)
