"""Functions that were sent by value, from the nodes that have them."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence

from taskmesh.core import keys
from taskmesh.core.steps import Call, Reply, Round, all_answered


def fetch_functions(
    prefix: bytes, holders: Mapping[bytes, str]
) -> Generator[Round, Sequence[Reply], dict[bytes, bytes]]:
    """Return functions by their content hashes, as far as they are told.

    Args:
        prefix: What every key begins with.
        holders: Content hash -> a node that has it.
    """
    if not holders:
        return {}
    replies = yield Round(
        [
            Call(None, prefix, (b"GET", keys.function(prefix, name.decode())), node=node)
            for name, node in holders.items()
        ],
        all_answered,
    )
    return {name: reply for name, reply in zip(holders, replies, strict=True) if isinstance(reply, bytes)}
