"""Cursors: up to which moment the firings of a shard of schedules were seen to.

A firing that the cursor has passed is not looked at again. One that it has not may have been enqueued all the same,
by a leader that was lost before it could say so: its id then is known already, and nothing happens.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

import msgspec

from taskmesh.coordination.content import Content

FORMAT: Final = 1


class Running(msgspec.Struct, frozen=True, array_like=True):
    """The last firings of a schedule that does not allow overlaps. An array in this order: new fields go at the end.

    Attributes:
        nominal_ms: The nominal moment of the last one that was enqueued, or is about to be.
        buffered_ms: That of the one which waits for its message; 0 for none.
        is_recorded: Whether its message is recorded for certain: before it is sent, it is written down here.
    """

    nominal_ms: int
    buffered_ms: int = 0
    is_recorded: bool = True


class Cursor(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the register of a shard holds, as a map: fields that this version does not know are passed over.

    Attributes:
        seen_ms: All firings of its schedules up to this nominal moment were seen to, Unix time.
        running: For the schedules that do not allow overlaps: `key_of` the name -> its last firings.
        token: Of the leader who wrote it; an older one writes it no more.
        format: Of this struct.
    """

    seen_ms: int = 0
    running: dict[bytes, Running] = msgspec.field(default_factory=dict)
    token: int = 0
    format: int = FORMAT

    def moved(self, seen_ms: int, running: dict[bytes, Running | None] | None = None) -> Cursor:
        """Return the cursor further on: it never goes back.

        Args:
            seen_ms: Up to where.
            running: Entries that changed; None for those that are to go.
        """
        entries = {**self.running, **(running or {})}
        kept = {key: entry for key, entry in entries.items() if entry is not None}
        return Cursor(max(self.seen_ms, seen_ms), kept, self.token)


def cursor_register(shard: int) -> str:
    """Return the register of a shard's cursor."""
    return f"cursor/{shard}"


def key_of(name: str) -> bytes:
    """Return a schedule's key in a cursor: short, as some 2,000 of them must fit into a register."""
    return blake2b(name.encode(), digest_size=8).digest()


_CONTENT: Final = Content(Cursor, "the cursor of a shard of schedules", FORMAT)


def pack_cursor(cursor: Cursor) -> bytes:
    """Return a cursor as its register's content."""
    return _CONTENT.pack(cursor)


def unpack_cursor(content: bytes | None) -> Cursor:
    """Return the cursor that a register holds; one that has seen nothing, when it was never written.

    Raises:
        NewerFormat, Malformed: It cannot be read.
    """
    return Cursor() if content is None else _CONTENT.unpack(content)
