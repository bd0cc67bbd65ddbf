"""Routes of listings that are read page by page: the cursor of a page over several nodes has a cursor for each.

It begins as `0`, as on one node; `n1=20,n2=7` is one of several. Listings without an order drop a node from the cursor
when it is through, and are over when none is left. Of ordered ones each page has what comes first on any node, and the
cursor says how much of each node's own list has been shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from taskmesh.core.steps import Reply
from taskmesh.errors import InvariantBroken
from taskmesh.replication.routed import Args, Routed, primary_of, whole
from taskmesh.replication.view import View

BEGIN = b"0"


def place(cursor: bytes | int) -> bytes:
    """Return where a listing goes on, as the next call is to be told: on one node that is a number."""
    return cursor if isinstance(cursor, bytes) else b"%d" % cursor


def read_cursor(cursor: bytes) -> dict[str, bytes] | None:
    """Return the cursors of nodes by id; None at the beginning.

    Raises:
        InvariantBroken: It is a place on one node.
    """
    if cursor == BEGIN:
        return None
    pairs = [pair.partition(b"=") for pair in cursor.split(b",")]
    if not all(between for _, between, _ in pairs):
        raise InvariantBroken(f"{cursor!r} is a place in the list of one node, and this mesh has several")
    return {node.decode(): at for node, _, at in pairs}


def pack_cursor(cursors: Mapping[str, bytes]) -> bytes:
    """Return the cursors of nodes as one; that of the beginning if there is none, by which a scan knows its end."""
    return b",".join(b"%b=%b" % (node.encode(), at) for node, at in cursors.items()) or BEGIN


def scan(view: View, args: Args, at: int, merge: Callable[[Sequence[Any]], Any]) -> Routed:
    """Route a step of a scan; what is found comes without order.

    Args:
        view: Of the mesh.
        args: Of the script or the command.
        at: Where among them the cursor stands. The answer is a cursor and what was found.
        merge: Makes one of what was found.
    """
    cursors = read_cursor(args[at])
    # who has left since has nothing more to tell
    asked = {
        node: cursors[node] if cursors else BEGIN for node in view.nodes if cursors is None or node in cursors
    }
    if not asked:
        asked = {view.nodes[0]: BEGIN}

    def merged(replies: Sequence[list[Any]]) -> list[Any]:
        left = {node: reply[0] for node, reply in zip(asked, replies, strict=True) if reply[0] != BEGIN}
        return [pack_cursor(left), merge([reply[1] for reply in replies])]

    return Routed(
        [(node, (*args[:at], cursor, *args[at + 1 :])) for node, cursor in asked.items()], whole(merged)
    )


def unpark(view: View, args: Args) -> Routed:
    """Route a step through the parked messages."""
    return scan(view, args, 1, sum)


def dead(view: View, args: Args) -> Routed:
    """Route a page of dead letters."""
    return _ordered(view, args, most=int(args[1]), width=4, member=b"%b", newest_first=args[2] == b"newest")


def scheduled(view: View, args: Args) -> Routed:
    """Route a page of messages that wait for their time."""
    return _ordered(view, args, most=int(args[1]), width=5, member=b"%b:", newest_first=False)


def _ordered(view: View, args: Args, *, most: int, width: int, member: bytes, newest_first: bool) -> Routed:
    """Route a page of a sorted listing.

    The script is told how many entries of its list to pass over. It answers how many entries it has, how many were
    passed or looked at, and of each that it shows some values: id, moment, and last how many were passed or looked at
    with it.
    """
    cursors = read_cursor(args[0]) or {}
    begins = [cursors.get(node, BEGIN) for node in view.nodes]

    def merged(replies: Sequence[Reply]) -> Reply:
        # a node may still list messages of slots that it leads no more
        rows = [
            (float(reply[at + 1]), member % reply[at], source, reply[at : at + width])
            for source, reply in enumerate(replies)
            for at in range(2, len(reply), width)
            if primary_of(view, reply[at]) == view.nodes[source]
        ]
        # ties as a sorted set has them: by the member
        rows.sort(key=lambda row: row[:2], reverse=newest_first)
        shown, left = rows[:most], rows[most:]
        ends = [b"%d" % int(reply[1]) for reply in replies]
        for source in {row[2] for row in left}:
            seen = [row[3][-1] for row in shown if row[2] == source]
            ends[source] = b"%d" % int(seen[-1]) if seen else begins[source]
        total = sum(int(reply[0]) for reply in replies)
        cursor = pack_cursor(dict(zip(view.nodes, ends, strict=True)))
        return [total, cursor, *(value for row in shown for value in row[3])]

    return Routed(
        [(node, (begin, *args[1:])) for node, begin in zip(view.nodes, begins, strict=True)],
        whole(merged),
        lambda at: [0, begins[at]],
    )
