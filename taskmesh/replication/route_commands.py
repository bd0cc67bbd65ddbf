"""To which nodes a plain command goes: by the key that it names.

A record is read at the primary of its slot. What every node has (the meta hash, what operators set, which workers
there are) is read of all that answer, be it one, so that a node which is away keeps nobody from it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

from taskmesh.replication.route_messages import messages, values
from taskmesh.replication.route_pages import scan
from taskmesh.replication.route_shared import union
from taskmesh.replication.routed import Args, Pinned, Routed, any_of, by_primary, primary_of, to_one, whole
from taskmesh.replication.view import View

_ENDED = b"ffffffff"
_CHILD_FIELD = 7


def route_plain(view: View, prefix: bytes, words: Args) -> Routed:
    """Return the calls that a plain command comes to.

    Args:
        view: Of the mesh.
        prefix: What every key begins with.
        words: Of the command.

    Raises:
        Pinned: It is about one node's own things; or nobody has said where it goes.
    """
    word = words[0]
    key = words[1].removeprefix(prefix) if len(words) > 1 else b""
    name, _, rest = key.partition(b":")
    if name == b"r" and word in (b"GET", b"GETRANGE"):
        return to_one(primary_of(view, rest), words)
    if name == b"r" and word == b"MGET":
        return _records(view, prefix, words)
    if name == b"parked" and word == b"HMGET":
        return messages(2, 1, values(1))(view, words)
    if name == b"run" and word == b"HSCAN":
        return scan(view, words, 2, lambda found: list(chain.from_iterable(found)))
    merge = _SHARED.get((word, name)) or _SHARED.get((word, b""))
    if merge is None:
        raise Pinned(
            f"{b' '.join(words[:2]).decode(errors='backslashreplace')} is about one node's own things, and no node is "
            "named: use link.at(node), or give it a route in taskmesh/replication/route_commands.py"
        )
    return Routed([(node, words) for node in view.nodes], any_of(merge))


def _records(view: View, prefix: bytes, words: Args) -> Routed:
    begin = len(prefix) + len(b"r:")
    places = by_primary(view, (key[begin:] for key in words[1:]))
    calls = [(node, (words[0], *(words[1 + at] for at in some))) for node, some in places.items()]
    put = values(1)
    return Routed(calls, whole(lambda replies: put(list(places.values()), replies)))


def _first(replies: Sequence[Any]) -> Any:
    """Return what the first says that knows anything."""
    return next((reply for reply in replies if reply is not None), None)


def _known(replies: Sequence[list[Any]]) -> list[Any]:
    """Return the fields of the first that knows all of them, or most."""
    return max(replies, key=lambda reply: len(reply) - reply.count(None))


def _highest(replies: Sequence[bytes | None]) -> bytes | None:
    """Return the value that begins with the highest number."""
    return max((reply for reply in replies if reply), key=lambda reply: int(reply.split()[0]), default=None)


def _fields(replies: Sequence[list[bytes]]) -> list[bytes]:
    """Return all fields of a hash that are anywhere."""
    found: dict[bytes, bytes] = {}
    for reply in replies:
        for field, value in zip(reply[::2], reply[1::2], strict=True):
            found.setdefault(field, value)
    return list(chain.from_iterable(found.items()))


def _worker(replies: Sequence[list[Any]]) -> list[Any]:
    """Return state, info and report of a worker: it may be dead to one node and live on another."""
    return max(replies, key=lambda reply: (reply[0] == b"live", reply[0] is not None, bool(reply[-1])))


def _children(replies: Sequence[list[bytes]]) -> list[bytes]:
    """Return all fields of a worker; a child that any node calls ended has ended."""
    found: dict[bytes, bytes] = {}
    for reply in replies:
        for field, value in zip(reply[::2], reply[1::2], strict=True):
            ended = field[:1] == b"s" and len(field) == _CHILD_FIELD and value == _ENDED
            if field not in found or ended:
                found[field] = value
    return list(chain.from_iterable(found.items()))


def _scores(replies: Sequence[list[Any]]) -> list[Any]:
    """Return of each member the highest score: a node that kept the set before may know less."""
    return [
        max((score for score in each if score is not None), key=float, default=None)
        for each in zip(*replies, strict=True)
    ]


#: By the command and what its key begins with, behind the mesh's own prefix; how one answer is made of several.
_SHARED: dict[tuple[bytes, bytes], Callable[[Sequence[Any]], Any]] = {
    (b"TIME", b""): _first,
    (b"EXISTS", b"meta"): max,
    (b"HMGET", b"meta"): _known,
    (b"GET", b"epoch"): _first,
    (b"GET", b"fn"): _first,
    (b"GET", b"leader"): _highest,
    (b"GET", b"seat"): _highest,
    (b"SET", b"seat"): _first,
    (b"SETNX", b"seat"): max,
    (b"DEL", b"seat"): max,
    (b"LPUSH", b"history"): max,
    (b"LTRIM", b"history"): _first,
    (b"LRANGE", b"history"): lambda replies: list(chain.from_iterable(replies)),
    (b"SMEMBERS", b"queues"): union,
    (b"SMEMBERS", b"paused"): union,
    (b"SMEMBERS", b"workers"): union,
    (b"HGETALL", b"settings"): _fields,
    (b"HGETALL", b"wishes"): _fields,
    (b"HGETALL", b"w"): _children,
    (b"HMGET", b"w"): _worker,
    (b"HGET", b"w"): _first,
    (b"ZMSCORE", b"rate"): _scores,
    # who listens does so at one node or at all: what is told twice is heard twice, and does no harm
    (b"PUBLISH", b"turn"): max,
}
