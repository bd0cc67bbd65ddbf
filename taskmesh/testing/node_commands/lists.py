"""Commands on lists."""

from __future__ import annotations

from collections import deque
from itertools import islice

from taskmesh.testing.node_commands.numbers import parse_count, parse_float, parse_int
from taskmesh.testing.node_commands.values import (
    OK,
    SYNTAX,
    Arguments,
    CommandError,
    ListValue,
    NodeState,
    Reply,
    list_at,
    wrong_arguments,
)


def _list_to_grow(state: NodeState, key: bytes) -> ListValue:
    value = list_at(state, key)
    if value is None:
        value = state.values[key] = deque()
    return value


def lpush(state: NodeState, argv: Arguments) -> Reply:
    """LPUSH key value..."""
    value = _list_to_grow(state, argv[1])
    value.extendleft(argv[2:])
    return len(value)


def rpush(state: NodeState, argv: Arguments) -> Reply:
    """RPUSH key value..."""
    value = _list_to_grow(state, argv[1])
    value.extend(argv[2:])
    return len(value)


def _pop(state: NodeState, argv: Arguments, *, left: bool) -> Reply:
    if len(argv) > 3:
        raise wrong_arguments("lpop" if left else "rpop")
    count = parse_count(argv[2]) if len(argv) == 3 else None
    key = argv[1]
    value = list_at(state, key)
    if value is None:
        return None
    take = value.popleft if left else value.pop
    taken = [take() for _ in range(min(1 if count is None else count, len(value)))]
    if not value:
        del state.values[key]
    return taken[0] if count is None else list(taken)


def lpop(state: NodeState, argv: Arguments) -> Reply:
    """LPOP key [count]."""
    return _pop(state, argv, left=True)


def rpop(state: NodeState, argv: Arguments) -> Reply:
    """RPOP key [count]."""
    return _pop(state, argv, left=False)


def blpop(state: NodeState, argv: Arguments) -> Reply:
    """BLPOP key... timeout, in the form in which it never blocks."""
    if parse_float(argv[-1], "ERR timeout is not a float or out of range") < 0:
        raise CommandError("ERR timeout is negative")
    for key in argv[1:-1]:
        if list_at(state, key) is not None:
            return [key, _pop(state, (argv[0], key), left=True)]
    return None


def lmpop(state: NodeState, argv: Arguments) -> Reply:
    """LMPOP numkeys key... LEFT|RIGHT [COUNT count]: from the first list that holds something."""
    key_count = parse_int(argv[1], "ERR numkeys should be greater than 0")
    if key_count < 1:
        raise CommandError("ERR numkeys should be greater than 0")
    names, options = argv[2 : 2 + key_count], [word.upper() for word in argv[2 + key_count :]]
    if (
        len(options) not in (1, 3)
        or options[0] not in (b"LEFT", b"RIGHT")
        or options[1:2] not in ([], [b"COUNT"])
    ):
        raise CommandError(SYNTAX)
    count = parse_int(options[2], "ERR count should be greater than 0") if len(options) == 3 else 1
    if count < 1:
        raise CommandError("ERR count should be greater than 0")
    for name in names:
        if list_at(state, name) is not None:
            taken = _pop(state, (argv[0], name, b"%d" % count), left=options[0] == b"LEFT")
            return [name, taken]
    return None


def llen(state: NodeState, argv: Arguments) -> Reply:
    """LLEN key."""
    return len(list_at(state, argv[1]) or ())


def span(start: int, stop: int, length: int) -> tuple[int, int]:
    """Return the half-open range of positions that `start stop`, both included, means."""
    first = max(start + length, 0) if start < 0 else start
    last = stop + length if stop < 0 else stop
    return first, max(first, min(last + 1, length))


def lrange(state: NodeState, argv: Arguments) -> Reply:
    """LRANGE key start stop."""
    start, stop = parse_int(argv[2]), parse_int(argv[3])
    value = list_at(state, argv[1])
    if value is None:
        return []
    first, end = span(start, stop, len(value))
    return list(islice(value, first, end))


def ltrim(state: NodeState, argv: Arguments) -> Reply:
    """LTRIM key start stop."""
    start, stop = parse_int(argv[2]), parse_int(argv[3])
    value = list_at(state, argv[1])
    if value is not None:
        first, end = span(start, stop, len(value))
        kept = deque(islice(value, first, end))
        if kept:
            state.values[argv[1]] = kept
        else:
            del state.values[argv[1]]
    return OK


def lindex(state: NodeState, argv: Arguments) -> Reply:
    """LINDEX key index."""
    value = list_at(state, argv[1])
    if value is None:
        return None
    index = parse_int(argv[2])
    return value[index] if -len(value) <= index < len(value) else None


def lrem(state: NodeState, argv: Arguments) -> Reply:
    """LREM key count element: from the head, from the tail when negative, all when 0."""
    count, element = parse_int(argv[2]), argv[3]
    value = list_at(state, argv[1])
    if value is None:
        return 0
    places = [place for place, other in enumerate(value) if other == element]
    if count:
        places = places[:count] if count > 0 else places[count:]
    for place in reversed(places):
        del value[place]
    if not value:
        del state.values[argv[1]]
    return len(places)


def lmove(state: NodeState, argv: Arguments) -> Reply:
    """LMOVE source destination LEFT|RIGHT LEFT|RIGHT."""
    ends = (argv[3].upper(), argv[4].upper())
    if any(end not in (b"LEFT", b"RIGHT") for end in ends):
        raise CommandError(SYNTAX)
    source = list_at(state, argv[1])
    if source is None:
        return None
    target = _list_to_grow(state, argv[2])
    element = source.popleft() if ends[0] == b"LEFT" else source.pop()
    if ends[1] == b"LEFT":
        target.appendleft(element)
    else:
        target.append(element)
    if not source:
        del state.values[argv[1]]
    return element
