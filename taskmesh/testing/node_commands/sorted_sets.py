"""Commands on sorted sets."""

from __future__ import annotations

from taskmesh.testing.node_commands.lists import span
from taskmesh.testing.node_commands.numbers import (
    format_number,
    parse_bound,
    parse_count,
    parse_float,
    parse_int,
    parse_lex_bound,
)
from taskmesh.testing.node_commands.scanning import scanned
from taskmesh.testing.node_commands.values import (
    SYNTAX,
    Arguments,
    CommandError,
    NodeState,
    NotSimulated,
    Reply,
    SortedSet,
    sorted_set_at,
)

_EMPTY = SortedSet()


def zadd(state: NodeState, argv: Arguments) -> Reply:
    """ZADD key [NX | XX] [GT | LT] [CH] score member..."""
    options: set[bytes] = set()
    at = 2
    while at < len(argv) and (option := argv[at].upper()) in (b"NX", b"XX", b"GT", b"LT", b"CH", b"INCR"):
        options.add(option)
        at += 1
    pairs = argv[at:]
    if not pairs or len(pairs) % 2:
        raise CommandError(SYNTAX)
    if b"INCR" in options:
        raise NotSimulated("ZADD with INCR")
    if {b"NX", b"XX"} <= options:
        raise CommandError("ERR XX and NX options at the same time are not compatible")
    if len(options & {b"GT", b"LT", b"NX"}) > 1:
        raise CommandError("ERR GT, LT, and/or NX options at the same time are not compatible")
    scores = [parse_float(text) for text in pairs[::2]]
    value = sorted_set_at(state, argv[1])
    if value is None:
        if b"XX" in options:
            return 0
        value = state.values[argv[1]] = SortedSet()
    added, moved = _put_all(value, scores, pairs[1::2], options)
    return added + moved if b"CH" in options else added


def _put_all(
    value: SortedSet, scores: list[float], members: Arguments, options: set[bytes]
) -> tuple[int, int]:
    """Add or move each member as `options` allow; return how many were added and how many moved."""
    added = moved = 0
    for score, member in zip(scores, members, strict=True):
        old = value.scores.get(member)
        if old is None:
            if b"XX" not in options:
                value.put(member, score)
                added += 1
        elif b"NX" in options or (b"GT" in options and score <= old) or (b"LT" in options and score >= old):
            continue
        elif score != old:
            value.put(member, score)
            moved += 1
    return added, moved


def zrem(state: NodeState, argv: Arguments) -> Reply:
    """ZREM key member..."""
    value = sorted_set_at(state, argv[1])
    if value is None:
        return 0
    removed = sum(value.discard(member) for member in argv[2:])
    if not value:
        del state.values[argv[1]]
    return removed


def zscan(state: NodeState, argv: Arguments) -> Reply:
    """ZSCAN key cursor [COUNT count]: everything at once, as a real node does with a small sorted set."""
    return scanned(argv, lambda: zrange(state, (argv[0], argv[1], b"0", b"-1", b"WITHSCORES")))


def zscore(state: NodeState, argv: Arguments) -> Reply:
    """ZSCORE key member."""
    score = (sorted_set_at(state, argv[1]) or _EMPTY).scores.get(argv[2])
    return None if score is None else format_number(score)


def zmscore(state: NodeState, argv: Arguments) -> Reply:
    """ZMSCORE key member [member ...]."""
    return [zscore(state, (argv[0], argv[1], member)) for member in argv[2:]]


def zcard(state: NodeState, argv: Arguments) -> Reply:
    """ZCARD key."""
    return len(sorted_set_at(state, argv[1]) or _EMPTY)


def zcount(state: NodeState, argv: Arguments) -> Reply:
    """ZCOUNT key min max."""
    bounds = parse_bound(argv[2]), parse_bound(argv[3])
    first, end = (sorted_set_at(state, argv[1]) or _EMPTY).span(*bounds)
    return end - first


def _flat(items: list[tuple[float, bytes]], *, with_scores: bool) -> Reply:
    if not with_scores:
        return [member for _, member in items]
    return [word for score, member in items for word in (member, format_number(score))]


def _window(items: list[tuple[float, bytes]], limit: tuple[int, int] | None) -> list[tuple[float, bytes]]:
    if limit is None:
        return items
    offset, count = limit
    if offset < 0:
        return []
    return items[offset:] if count < 0 else items[offset : offset + count]


def _by_score(
    state: NodeState, key: bytes, low: bytes, high: bytes, limit: tuple[int, int] | None, *, reverse: bool
) -> list[tuple[float, bytes]]:
    bounds = parse_bound(low), parse_bound(high)
    value = sorted_set_at(state, key) or _EMPTY
    first, end = value.span(*bounds)
    items = value.order[first:end]
    return _window(items[::-1] if reverse else items, limit)


def _range_options(words: Arguments, flags: tuple[bytes, ...]) -> tuple[set[bytes], tuple[int, int] | None]:
    """Read the words after the bounds: the flags that are set, and the window."""
    found: set[bytes] = set()
    limit: tuple[int, int] | None = None
    at = 0
    while at < len(words):
        word = words[at].upper()
        if word == b"LIMIT" and at + 2 < len(words):
            limit = (parse_int(words[at + 1]), parse_int(words[at + 2]))
            at += 3
        elif word in flags and not (word == b"BYSCORE" and b"BYLEX" in found):
            found.add(word)
            at += 1
        else:
            raise CommandError(SYNTAX)
    return found, limit


def zrange(state: NodeState, argv: Arguments) -> Reply:
    """ZRANGE key start stop [BYSCORE] [REV] [LIMIT offset count] [WITHSCORES]."""
    found, limit = _range_options(argv[4:], (b"BYSCORE", b"BYLEX", b"REV", b"WITHSCORES"))
    if b"BYLEX" in found:
        raise NotSimulated("ZRANGE with BYLEX")
    reverse, with_scores = b"REV" in found, b"WITHSCORES" in found
    if b"BYSCORE" in found:
        low, high = (argv[3], argv[2]) if reverse else (argv[2], argv[3])
        items = _by_score(state, argv[1], low, high, limit, reverse=reverse)
        return _flat(items, with_scores=with_scores)
    if limit is not None:
        needs = "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX"
        raise CommandError(needs)
    start, stop = parse_int(argv[2]), parse_int(argv[3])
    order = (sorted_set_at(state, argv[1]) or _EMPTY).order
    first, end = span(start, stop, len(order))
    return _flat((order[::-1] if reverse else order)[first:end], with_scores=with_scores)


def zrangebyscore(state: NodeState, argv: Arguments) -> Reply:
    """ZRANGEBYSCORE key min max [WITHSCORES] [LIMIT offset count]."""
    found, limit = _range_options(argv[4:], (b"WITHSCORES",))
    items = _by_score(state, argv[1], argv[2], argv[3], limit, reverse=False)
    return _flat(items, with_scores=bool(found))


def zrangebylex(state: NodeState, argv: Arguments) -> Reply:
    """ZRANGEBYLEX key min max [LIMIT offset count]; all members must have one score."""
    _, limit = _range_options(argv[4:], ())
    least, with_least = parse_lex_bound(argv[2])
    greatest, with_greatest = parse_lex_bound(argv[3])
    value = sorted_set_at(state, argv[1]) or _EMPTY
    if len(set(value.scores.values())) > 1:
        raise NotSimulated("ZRANGEBYLEX of members with several scores")
    items = [
        item
        for item in value.order
        if (least < item[1] or (with_least and least == item[1]))
        and (item[1] < greatest or (with_greatest and item[1] == greatest))
    ]
    return _flat(_window(items, limit), with_scores=False)


def zremrangebyscore(state: NodeState, argv: Arguments) -> Reply:
    """ZREMRANGEBYSCORE key min max."""
    gone = [member for _, member in _by_score(state, argv[1], argv[2], argv[3], None, reverse=False)]
    return zrem(state, (argv[0], argv[1], *gone)) if gone else 0


def _pop(state: NodeState, argv: Arguments, *, lowest: bool) -> Reply:
    if len(argv) > 3:
        raise CommandError(SYNTAX)
    count = parse_count(argv[2]) if len(argv) == 3 else 1
    value = sorted_set_at(state, argv[1])
    if value is None:
        return []
    taken = value.order[:count] if lowest else value.order[::-1][:count]
    for _, member in taken:
        value.discard(member)
    if not value:
        del state.values[argv[1]]
    return _flat(taken, with_scores=True)


def zpopmin(state: NodeState, argv: Arguments) -> Reply:
    """ZPOPMIN key [count]."""
    return _pop(state, argv, lowest=True)


def zpopmax(state: NodeState, argv: Arguments) -> Reply:
    """ZPOPMAX key [count]."""
    return _pop(state, argv, lowest=False)
