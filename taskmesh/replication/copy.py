"""One replica's copy of a message: its record, and what stands beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from taskmesh.core.record import HEAD_LENGTH

#: Words of a copy in the answer of `fetch.lua`.
WORDS = 6
VERSION = slice(2, 10)


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy.

    Attributes:
        task_id: Whose.
        record: The record; empty when this replica has none. Its head and names only where it did not fit the answer.
        side: What stands outside it and never changes.
        revoked: The outcome by which it ends unless its run brings one.
        telling: What it tells of itself while it runs.
        parked: The build that could not take it.
        size: How many bytes the record has.
    """

    task_id: bytes
    record: bytes
    side: bytes
    revoked: bytes
    telling: bytes
    parked: bytes
    size: int

    @property
    def is_whole(self) -> bool:
        """Whether this is all of the record."""
        return len(self.record) == self.size

    @property
    def version(self) -> bytes:
        """The version of the record."""
        return self.record[VERSION]

    @property
    def function(self) -> bytes:
        """The content hash of the function that it refers to; empty for none."""
        record = self.record
        if not record:
            return b""
        first = HEAD_LENGTH + int(record[102:104], 16) + int(record[104:106], 16)
        return record[first : first + int(record[106:108], 16)]

    def entry(self) -> tuple[bytes, ...]:
        """Return the record as an entry for `apply.lua`."""
        return b"w", self.task_id, self.record, self.side

    def beside(self) -> Iterator[tuple[bytes, ...]]:
        """Yield what is noted beside it, as entries that stand behind the record's."""
        for name, value in ((b"rv", self.revoked), (b"tellings", self.telling), (b"parked", self.parked)):
            if value:
                yield b"b", name, self.task_id, self.version, value


def read_copy(task_id: bytes, answer: Sequence[bytes], at: int) -> Copy:
    """Return the copy of one id from the answer of `fetch.lua`.

    Args:
        task_id: The id.
        answer: To all ids.
        at: Which of these it is, from 0.
    """
    record, side, revoked, telling, parked, size = answer[WORDS * at : WORDS * (at + 1)]
    return Copy(task_id, record, side, revoked, telling, parked, int(size))
