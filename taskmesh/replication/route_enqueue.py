"""The route of what is sent: each group of messages goes to the primary of its slot.

A function that messages are sent with goes once to each node that gets such messages. Where nodes fare differently the
sender hears of each part by itself: what was accepted by one node is not to be called rejected because another is full.
"""

from __future__ import annotations

from collections.abc import Sequence

from taskmesh.core.steps import Reply
from taskmesh.replication.routed import FAILURES, Args, Parts, Routed, to_one
from taskmesh.replication.view import View

#: Where things stand in a group: its function's hash and blob, how many messages, the first of these.
_HASH, _BLOB, _COUNT, _FIRST = 5, 6, 7, 8
#: In place of the number: a message with keys, and how many words these are.
_KEYED, _KEYS = b"K", 8


class _Share:
    """What goes to one node: the words, whose messages these are, and which functions they carry."""

    __slots__ = ("carried", "places", "words")

    def __init__(self) -> None:
        self.words: list[bytes] = []
        self.places: list[int] = []
        self.carried: set[bytes] = set()


def enqueue(view: View, args: Args) -> Routed:
    """Route groups of messages as `queue/enqueue.lua` takes them."""
    return _shares(view, (), args)


def enqueue_fenced(view: View, args: Args) -> Routed:
    """Route the same, of a leader: its token comes first."""
    return _shares(view, args[:1], args[1:])


def _shares(view: View, token: Args, args: Args) -> Routed:
    groups, blobs = _groups(args)
    shares: dict[str, _Share] = {}
    place = 0
    for at, end, count in groups:
        share = shares.setdefault(view.primary(int(args[at], 16)), _Share())
        function = args[at + _HASH]
        blob = b"" if function in share.carried else blobs.get(function, b"")
        share.carried.add(function)
        share.words += (*args[at : at + _BLOB], blob, *args[at + _COUNT : end])
        share.places += range(place, place + count)
        place += count
    if len(shares) == 1:
        return to_one(next(iter(shares)), (*token, *args))
    places = [share.places for share in shares.values()]
    return Routed(
        [(node, (*token, *share.words)) for node, share in shares.items()],
        lambda replies: _merged(place, places, replies),
    )


def _groups(args: Args) -> tuple[list[tuple[int, int, int]], dict[bytes, bytes]]:
    """Return where each group begins and ends and how many messages it has; and the functions that are carried."""
    groups: list[tuple[int, int, int]] = []
    blobs: dict[bytes, bytes] = {}
    at = 0
    while at < len(args):
        if args[at + _BLOB]:
            blobs[args[at + _HASH]] = args[at + _BLOB]
        if args[at + _COUNT] == _KEYED:
            count, end = 1, at + _FIRST + _KEYS + 2
        else:
            count = int(args[at + _COUNT])
            end = at + _FIRST + 2 * count
        groups.append((at, end, count))
        at = end
    return groups, blobs


def _merged(count: int, places: list[list[int]], replies: Sequence[Reply]) -> Reply:
    if any(isinstance(reply, FAILURES) for reply in replies):
        return Parts(list(zip(places, replies, strict=True)))
    verdicts = bytearray(count)
    told: dict[int, bytes] = {}
    for some, reply in zip(places, replies, strict=True):
        letters, _, lines = reply.partition(b"\n")
        firsts = iter(lines.split(b"\n"))
        for place, letter in zip(some, letters, strict=True):
            verdicts[place] = letter
            if letter in b"dc":
                told[place] = next(firsts)
    return b"\n".join([bytes(verdicts), *(told[place] for place in sorted(told))])
