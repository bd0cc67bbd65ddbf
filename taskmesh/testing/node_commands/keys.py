"""Commands on keys of any type, and on the node itself."""

from __future__ import annotations

import re
from collections import deque
from zlib import crc32

from taskmesh.testing.node_commands.numbers import parse_int
from taskmesh.testing.node_commands.values import (
    OK,
    SYNTAX,
    Arguments,
    CommandError,
    HashValue,
    NodeState,
    NotSimulated,
    Reply,
    SetValue,
    SortedSet,
    Status,
    Value,
    wrong_arguments,
)

PONG = Status(b"PONG")
SCAN_COUNT = 10
_TYPE_NAMES = {bytes: b"string", deque: b"list", SetValue: b"set", HashValue: b"hash", SortedSet: b"zset"}


def delete(state: NodeState, argv: Arguments) -> Reply:
    """DEL key... and UNLINK key..."""
    return sum(state.values.pop(key, None) is not None for key in argv[1:])


def rename(state: NodeState, argv: Arguments) -> Reply:
    """RENAME key newkey: whatever stands there goes."""
    value = state.values.pop(argv[1], None)
    if value is None:
        raise CommandError("ERR no such key")
    state.values[argv[2]] = value
    return OK


def exists(state: NodeState, argv: Arguments) -> Reply:
    """EXISTS key...: a key named twice counts twice."""
    return sum(key in state.values for key in argv[1:])


def _type_name(value: Value | None) -> bytes:
    return b"none" if value is None else _TYPE_NAMES[type(value)]


def type_(state: NodeState, argv: Arguments) -> Reply:
    """TYPE key."""
    return Status(_type_name(state.values.get(argv[1])))


def _glob(pattern: bytes) -> re.Pattern[bytes]:
    """Translate a pattern of `*`, `?`, `[...]` and backslashes to a regular expression."""
    tokens = re.findall(rb"\\.|\[\^?(?:\\.|[^\]\\])*\]|.", pattern, re.DOTALL)
    whole = b"".join(
        {b"*": b".*", b"?": b"."}.get(token)
        or (token if token[:1] == b"[" and len(token) > 1 else re.escape(token.removeprefix(b"\\") or token))
        for token in tokens
    )
    return re.compile(whole, re.DOTALL)


def scan(state: NodeState, argv: Arguments) -> Reply:
    """SCAN cursor [MATCH pattern] [COUNT count] [TYPE name].

    The cursor is a position in the order of the keys' checksums, so that a key which is there from the
    first call to the last is returned, whatever comes and goes in between.
    """
    try:
        cursor = int(argv[1])
    except ValueError:
        raise CommandError("ERR invalid cursor") from None
    words = argv[2:]
    options = {words[at].upper(): words[at + 1] for at in range(0, len(words) - 1, 2)}
    if len(words) % 2 or not options.keys() <= {b"MATCH", b"COUNT", b"TYPE"}:
        raise CommandError(SYNTAX)
    count = parse_int(options.get(b"COUNT", b"%d" % SCAN_COUNT))
    if count < 1:
        raise CommandError(SYNTAX)
    waiting = sorted((sum_, key) for key in state.values if (sum_ := crc32(key)) >= cursor)
    # Keys with one checksum belong together: the cursor could not stop between them.
    last = waiting[min(count, len(waiting)) - 1][0] if waiting else 0
    seen = [key for sum_, key in waiting if sum_ <= last]
    after = b"0" if len(seen) == len(waiting) else b"%d" % (last + 1)
    if pattern := options.get(b"MATCH"):
        seen = list(filter(_glob(pattern).fullmatch, seen))
    if wanted := options.get(b"TYPE"):
        seen = [key for key in seen if _type_name(state.values[key]) == wanted.lower()]
    return [after, list(seen)]


def dbsize(state: NodeState, _: Arguments) -> Reply:
    """DBSIZE."""
    return len(state.values)


def flushall(state: NodeState, argv: Arguments) -> Reply:
    """FLUSHALL."""
    if len(argv) > 1:
        raise NotSimulated("FLUSHALL with options")
    state.values.clear()
    return OK


def ping(_: NodeState, argv: Arguments) -> Reply:
    """PING [message]."""
    if len(argv) > 2:
        raise wrong_arguments("ping")
    return argv[1] if len(argv) == 2 else PONG


def echo(_: NodeState, argv: Arguments) -> Reply:
    """ECHO message."""
    return argv[1]


def time(state: NodeState, _: Arguments) -> Reply:
    """TIME."""
    seconds, microseconds = divmod(state.clock_us(), 1_000_000)
    return [b"%d" % seconds, b"%d" % microseconds]


def info(state: NodeState, _: Arguments) -> Reply:
    """INFO [section...]: always the same few facts."""
    return "".join(f"{name}:{fact}\r\n" for name, fact in state.info.items()).encode()


def publish(state: NodeState, argv: Arguments) -> Reply:
    """PUBLISH channel message."""
    return state.publish(argv[1], argv[2])
