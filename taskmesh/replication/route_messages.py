"""Routes of scripts that are about messages which are named: each message goes to the primary of its slot.

Such a script has some arguments for all messages, then as many for each, its id first. What it answers is one letter
or some values for each message, in their order, or a number for all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from taskmesh.core.steps import Reply
from taskmesh.replication.routed import (
    FAILURES,
    Args,
    Merge,
    Parts,
    Pinned,
    Routed,
    by_primary,
    primary_of,
    to_one,
    whole,
    worst,
)
from taskmesh.replication.view import View

Route = Callable[[View, Args], Routed]


def messages(
    head: int, width: int, put: Callable[[list[list[int]], Sequence[Any]], Any], *, in_parts: bool = False
) -> Route:
    """Return the route of a script that takes messages.

    Args:
        head: Arguments that are for all messages.
        width: Arguments of each, its id first.
        put: Makes one answer of several: of the places of the messages of each, and the answers.
        in_parts: Whether the caller wants `Parts` where some nodes did not answer.
    """

    def route(view: View, args: Args) -> Routed:
        shared, ids = args[:head], args[head::width]
        places = by_primary(view, ids)
        if len(places) == 1:
            return to_one(next(iter(places)), args)
        calls = [
            (
                node,
                (
                    *shared,
                    *(word for at in some for word in args[head + at * width : head + (at + 1) * width]),
                ),
            )
            for node, some in places.items()
        ]
        merge = partial(put, list(places.values()))
        return Routed(calls, _or_parts(list(places.values()), merge) if in_parts else whole(merge))

    return route


def _or_parts(places: list[list[int]], merge: Merge) -> Merge:
    def merged(replies: Sequence[Reply]) -> Reply:
        failures = [reply for reply in replies if isinstance(reply, FAILURES)]
        if not failures:
            return merge(replies)
        return (
            worst(replies)
            if len(failures) == len(replies)
            else Parts(list(zip(places, replies, strict=True)))
        )

    return merged


def letters(places: list[list[int]], replies: Sequence[bytes]) -> bytes:
    """Put one letter for each message in the order of the messages."""
    found = bytearray(_count(places))
    for some, reply in zip(places, replies, strict=True):
        for at, letter in zip(some, reply, strict=True):
            found[at] = letter
    return bytes(found)


def values(each: int) -> Callable[[list[list[int]], Sequence[list[Any]]], list[Any]]:
    """Put so many values for each message in the order of the messages."""

    def put(places: list[list[int]], replies: Sequence[list[Any]]) -> list[Any]:
        found: list[Any] = [None] * (_count(places) * each)
        for some, reply in zip(places, replies, strict=True):
            for nth, at in enumerate(some):
                found[at * each : (at + 1) * each] = reply[nth * each : (nth + 1) * each]
        return found

    return put


def total(_: list[list[int]], replies: Sequence[int]) -> int:
    """Add up."""
    return sum(replies)


def _count(places: list[list[int]]) -> int:
    return sum(len(some) for some in places)


def one_message(view: View, args: Args) -> Routed:
    """Route a script about one message, whose id comes first."""
    return to_one(primary_of(view, args[0]), args)


_entries = messages(4, 4, letters)


def commit(view: View, args: Args) -> Routed:
    """Route what ends runs: holder, build, s to keep dead letters, how many claims are done with, these, the messages.

    Raises:
        Pinned: It names claims that are done with: their sequences are those of one node.
    """
    if args[3] != b"0":
        raise Pinned(
            f"queue.commit of {args[0].decode()} names {args[3].decode()} claims that are done with, and not the node "
            "that counts them: send these by link.at(node), apart from the outcomes"
        )
    return _entries(view, args)
