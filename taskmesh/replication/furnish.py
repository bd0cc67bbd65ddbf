"""What stands on every node of a mesh, whoever leads a slot: a node that comes in gets it before it takes part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from taskmesh.core.steps import Call, GroupSteps, Reply, Round, all_answered
from taskmesh.errors import NodeUnavailable
from taskmesh.replication.founding import Stand
from taskmesh.replication.view import View

#: Hashes, sets and single values; see `core/keys.py`. Not the leader's token: a node may know a newer one by itself.
HASHES = (b"meta", b"settings", b"wishes", b"wishes:weight", b"wishes:rate")
SETS = (b"paused",)
VALUES = (b"settled", b"seat")


def source_of(view: View, seen: Mapping[str, Stand]) -> str | None:
    """Return a node of a view that has what stands on every node; None if there is none.

    One that lost its disk may answer still as the member that it was: it has nothing to give.

    Args:
        view: The active one.
        seen: What each member that answers says of itself.
    """
    for node in view.nodes:
        member, stand = view.member(node), seen.get(node)
        if member is not None and stand is not None and stand.mesh_id and stand.instance == member.instance:
            return node
    return None


def furnish(prefix: bytes, source: str, node: str) -> GroupSteps[None]:
    """Copy what stands on every node from one to another.

    Raises:
        NodeUnavailable: One of them does not answer, or the source has lost what it had.
    """
    reads = [
        *((b"HGETALL", prefix + name) for name in HASHES),
        *((b"SMEMBERS", prefix + name) for name in SETS),
        *((b"GET", prefix + name) for name in VALUES),
    ]
    found = yield from _ask(prefix, source, reads)
    hashes, sets = found[: len(HASHES)], found[len(HASHES) : len(HASHES) + len(SETS)]
    if not found[HASHES.index(b"meta")]:
        raise NodeUnavailable(
            f"node {source} belongs to no mesh any more: it cannot tell {node} of one",
            node=source,
            may_be_done=False,
        )
    writes: list[tuple[bytes, ...]] = []
    for name, held in (*zip(HASHES, hashes, strict=True), *zip(SETS, sets, strict=True)):
        writes.append((b"DEL", prefix + name))
        if held:
            writes.append((b"HSET" if name in HASHES else b"SADD", prefix + name, *held))
    for name, value in zip(VALUES, found[len(HASHES) + len(SETS) :], strict=True):
        if value is not None:
            writes.append((b"SET", prefix + name, value))
    yield from _ask(prefix, node, writes)


def _ask(prefix: bytes, node: str, commands: Sequence[tuple[bytes, ...]]) -> GroupSteps[list[Reply]]:
    replies = yield Round([Call(None, prefix, words, node=node) for words in commands], all_answered)
    for reply in replies:
        if hasattr(reply, "reason") or hasattr(reply, "text"):
            raise NodeUnavailable(f"node {node} does not answer: {reply}", node=node, may_be_done=True)
    return list(replies)
