"""What stands on every node of a mesh, whoever leads a slot: a node that comes in gets it before it takes part."""

from __future__ import annotations

from collections.abc import Sequence

from taskmesh.core.steps import Call, GroupSteps, Reply, Round, all_answered
from taskmesh.errors import NodeUnavailable

#: Hashes, sets and single values; see `core/keys.py`. Not the leader's token: a node may know a newer one by itself.
HASHES = (b"meta", b"settings", b"wishes", b"wishes:weight", b"wishes:rate")
SETS = (b"paused",)
VALUES = (b"settled", b"seat")


def furnish(prefix: bytes, source: str, node: str) -> GroupSteps[None]:
    """Copy what stands on every node from one to another.

    Raises:
        NodeUnavailable: One of them does not answer.
    """
    reads = [
        *((b"HGETALL", prefix + name) for name in HASHES),
        *((b"SMEMBERS", prefix + name) for name in SETS),
        *((b"GET", prefix + name) for name in VALUES),
    ]
    found = yield from _ask(prefix, source, reads)
    hashes, sets = found[: len(HASHES)], found[len(HASHES) : len(HASHES) + len(SETS)]
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
