"""A page of memory that the supervisor and its children share: what each child is doing.

A child notes the position of a message before it starts it; that costs less than a microsecond and
survives the child. So the supervisor knows which message a dead child was running, and which ones
wait behind a slow one.

Per place, 11232 bytes: sequence of the claim (8), position in it from 1 (4), size of it (4), start of the current
message on the monotonic clock (8) and its name (40); the sequence that the supervisor has recalled (8), how many
messages a child runs that runs several at once (4), whether it waits for a ticket (4), the claim in which the
supervisor is about to end a run (8); from byte 88 on how many runs were committed with each of the letters in
`COUNTED` (8 each); and from byte 136 on which run must have ended first: when (8), how long it was given (8), its
claim (8), its position in that (4) and, from byte 168 on, its name (40); from byte 208 on how many slips the
supervisor has written (8) and the child has read (8), and the slips, 64 of 64 bytes: each a run that a child of many
is to call off, by claim (8), position (4), and who wants that. From byte 4320 on which claims a child of many runs,
and since when: 256 of claim (8) and start (8), which is 0 where nothing stands. From byte 8416 on what the run wants to
be known of it should the process die: how long that is (4), how long what the supervisor says of the death (4), both
of them, 1784 and 1024 bytes. That outlasts the child, for the one that takes its place.

Behind all places stand, if they are wanted, the sheets on which children count for metrics: see `metrics/sheet.py`.

Claim and position say where a message was claimed. A node that has taken it over since knows only its name.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import struct
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from taskmesh.metrics.sheet import SHEET_BYTES, SharedSheet, Sheet

_WILL_AT = 208 + 16 + 64 * 64 + 256 * 16
WILL_BYTES_MAX, _DEATH_BYTES_MAX = 1784, 1024
_WILL_LENGTHS = struct.Struct("<II")
PLACE_BYTES = _WILL_AT + _WILL_LENGTHS.size + WILL_BYTES_MAX + _DEATH_BYTES_MAX
#: A message whose id is longer goes by a hash of that.
NAME_BYTES_MAX = 40
_NOTE = struct.Struct("<qIId40s")
_RECALLED = struct.Struct("<q")
_RECALLED_AT = _NOTE.size
_RUNNING = struct.Struct("<I")
_RUNNING_AT = _RECALLED_AT + _RECALLED.size
_WAITS_AT = 76
_CONDEMNED_AT = 80
#: Letters of the states in which runs end: succeeded, failed, to be tried again, given up, expired, revoked.
COUNTED = b"KFYDXV"
_COUNTS = struct.Struct("<6Q")
_COUNTS_AT = 88
_COUNT = struct.Struct("<Q")
_DEADLINE = struct.Struct("<ddqI4x40s")
_DEADLINE_AT = 136
_SLIPS_WRITTEN_AT = 208
_SLIPS_READ_AT = 216
_SLIPS_AT = 224
_SLIP_COUNTS = struct.Struct("<QQ")
_SLIP = struct.Struct("<qI52s")
#: Slips that a child may leave unread.
SLIPS_MAX = 64
_SENDER_BYTES_MAX = 52
_CLAIM = struct.Struct("<qd")
_BEGUN_AT = 4320
#: Claims of which a child of many notes when it began them; of what it runs beyond that, nobody knows.
CLAIMS_NOTED_MAX = 256

NOTHING = 0
"""The position of a child that runs nothing."""

MANY = 0xFFFFFFFF
"""The position, and the size, that a child notes while it runs several messages at once."""


@dataclass(frozen=True, slots=True)
class Note:
    """What a child noted last.

    Attributes:
        sequence: Of its current claim.
        position: Of the message that it runs, from 1; `NOTHING` when it runs none, `MANY` when several.
        total: How many messages the claim has.
        started_s: When the message was started, on the monotonic clock.
        name: Of the message, as `name_of` has it; empty when it is none, or one of several.
    """

    sequence: int
    position: int
    total: int
    started_s: float
    name: bytes = b""

    @property
    def waiting(self) -> int:
        """How many messages wait behind the one that runs."""
        return self.total - self.position if self.position else 0


@dataclass(frozen=True, slots=True)
class Deadline:
    """When a run must have ended.

    Attributes:
        until_s: On the monotonic clock; 0 for never.
        limit_s: How long it was given.
        sequence: Of the claim.
        position: Of the message in it, from 1.
        name: Of the message, as `name_of` has it.
    """

    until_s: float = 0.0
    limit_s: float = 0.0
    sequence: int = 0
    position: int = 0
    name: bytes = b""


NO_DEADLINE = Deadline()


@dataclass(frozen=True, slots=True)
class Slip:
    """A run that is to be called off.

    Attributes:
        sequence: Of its claim.
        position: Of the message in it, from 1.
        sender: Who wants that; what is beyond 52 bytes is left out.
    """

    sequence: int
    position: int
    sender: str


def name_of(task_id: bytes) -> bytes:
    """Return by what the page names a message."""
    if len(task_id) <= NAME_BYTES_MAX:
        return task_id
    return hashlib.blake2b(task_id, digest_size=NAME_BYTES_MAX // 2).hexdigest().encode()


def sheet_at(places: int, place: int) -> int:
    """Return where the sheet of a child begins, in a page for so many."""
    return places * PLACE_BYTES + place * SHEET_BYTES


def make_page(places: int, *, with_sheets: bool = False) -> int:
    """Return a file descriptor of zeroed memory for so many children; of what is not written there is none."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("taskmesh-page")
    else:
        fd, path = tempfile.mkstemp(prefix="taskmesh-page-")
        Path(path).unlink()
    os.ftruncate(fd, sheet_at(places, places) if with_sheets else places * PLACE_BYTES)
    return fd


def _read_note(memory: mmap.mmap, at: int) -> Note:
    sequence, position, total, started_s, name = _NOTE.unpack_from(memory, at)
    return Note(sequence, position, total, started_s, name.rstrip(b"\0"))


class Page:
    """The page, as seen by one process."""

    def __init__(self, fd: int) -> None:
        """Map the page behind a descriptor."""
        self._memory = mmap.mmap(fd, os.fstat(fd).st_size)

    def clear(self, place: int) -> None:
        """Prepare a place for a new child; what the one before left for it stays."""
        at = place * PLACE_BYTES
        self._memory[at : at + _WILL_AT] = bytes(_WILL_AT)
        self.set_recalled(place, -1)
        self.set_condemned(place, -1)

    def read(self, place: int) -> Note:
        """Return what a child noted last."""
        return _read_note(self._memory, place * PLACE_BYTES)

    def set_recalled(self, place: int, sequence: int) -> None:
        """Tell a child that what waits in one of its claims is taken back."""
        _RECALLED.pack_into(self._memory, place * PLACE_BYTES + _RECALLED_AT, sequence)

    def running(self, place: int) -> int:
        """Return how many messages the place's child runs, if it runs several at once."""
        count: int = _RUNNING.unpack_from(self._memory, place * PLACE_BYTES + _RUNNING_AT)[0]
        return count

    def waits(self, place: int) -> bool:
        """Tell whether the place's child waits to be woken by a ticket."""
        return self._memory[place * PLACE_BYTES + _WAITS_AT] != 0

    def begun(self, place: int) -> list[tuple[int, float]]:
        """Return which claims the place's child runs, if it runs several at once, and when it began each."""
        at = place * PLACE_BYTES + _BEGUN_AT
        claims = _CLAIM.iter_unpack(self._memory[at : at + CLAIMS_NOTED_MAX * _CLAIM.size])
        return [(sequence, begun_s) for sequence, begun_s in claims if begun_s]

    def counts(self, place: int) -> tuple[int, ...]:
        """Return how many runs of the place's child were committed with each letter of `COUNTED`."""
        return _COUNTS.unpack_from(self._memory, place * PLACE_BYTES + _COUNTS_AT)

    def deadline(self, place: int) -> Deadline:
        """Return which of the runs of a child must have ended first, and when."""
        at = place * PLACE_BYTES + _DEADLINE_AT
        until_s, limit_s, sequence, position, name = _DEADLINE.unpack_from(self._memory, at)
        return Deadline(until_s, limit_s, sequence, position, name.rstrip(b"\0"))

    def set_condemned(self, place: int, sequence: int) -> None:
        """Tell a child that it is about to be ended for what it runs in one of its claims; -1 takes that back.

        Until then it does not go beyond that claim.
        """
        _RECALLED.pack_into(self._memory, place * PLACE_BYTES + _CONDEMNED_AT, sequence)

    def write_slip(self, place: int, slip: Slip) -> int:
        """Have a child call off a run; return the slip's number, from 1, or 0 if the child has too many to read."""
        at = place * PLACE_BYTES
        written: int = _COUNT.unpack_from(self._memory, at + _SLIPS_WRITTEN_AT)[0]
        if written - self.slips_read(place) >= SLIPS_MAX:
            return 0
        name = slip.sender.encode(errors="replace")[:_SENDER_BYTES_MAX]
        slip_at = at + _SLIPS_AT + written % SLIPS_MAX * _SLIP.size
        _SLIP.pack_into(self._memory, slip_at, slip.sequence, slip.position, name)
        # counted only when it stands there
        _COUNT.pack_into(self._memory, at + _SLIPS_WRITTEN_AT, written + 1)
        return written + 1

    def add_death(self, place: int, death: bytes) -> None:
        """Say how the place's child died, for the next one, if its run wanted to be known of."""
        at = place * PLACE_BYTES + _WILL_AT
        will_bytes, _ = _WILL_LENGTHS.unpack_from(self._memory, at)
        if not 0 < will_bytes <= WILL_BYTES_MAX or len(death) > _DEATH_BYTES_MAX:
            return
        death_at = at + _WILL_LENGTHS.size + WILL_BYTES_MAX
        self._memory[death_at : death_at + len(death)] = death
        _WILL_LENGTHS.pack_into(self._memory, at, will_bytes, len(death))

    def slips_read(self, place: int) -> int:
        """Return the number of the last slip that the place's child has heeded."""
        read: int = _COUNT.unpack_from(self._memory, place * PLACE_BYTES + _SLIPS_READ_AT)[0]
        return read

    def sheet(self, at: int, *, shared: bool = False) -> Sheet:
        """Return the sheet that begins there; one that several threads write at once if `shared`."""
        return (SharedSheet if shared else Sheet)(self._memory, at)

    def desk(self, place: int) -> Desk:
        """Return a child's own place."""
        return Desk(self._memory, place * PLACE_BYTES)


class Desk:
    """A child's own place in the page."""

    __slots__ = ("_at", "_counting", "_memory")

    def __init__(self, memory: mmap.mmap, at: int) -> None:
        self._memory = memory
        self._at = at
        self._counting = threading.Lock()

    def note(self, sequence: int, position: int, total: int, started_s: float, name: bytes = b"") -> None:
        """Note what is started now."""
        _NOTE.pack_into(self._memory, self._at, sequence, position, total, started_s, name)

    def running(self, count: int) -> None:
        """Say how many messages run at once."""
        _RUNNING.pack_into(self._memory, self._at + _RUNNING_AT, count)

    def waits(self, *, for_ticket: bool) -> None:
        """Say that it waits to be woken by a ticket, or does not any more."""
        self._memory[self._at + _WAITS_AT] = for_ticket

    def begin_claim(self, line: int, sequence: int, begun_s: float) -> None:
        """Note in a line below `CLAIMS_NOTED_MAX` that a claim runs since then; 0 that it does not any more."""
        _CLAIM.pack_into(self._memory, self._at + _BEGUN_AT + line * _CLAIM.size, sequence, begun_s)

    def count(self, letters: bytes) -> None:
        """Count runs that were committed, by the letter of each; any thread of the child may."""
        with self._counting:
            for letter in set(letters):  # mostly there is but one
                index = COUNTED.find(letter)
                if index >= 0:
                    at = self._at + _COUNTS_AT + index * _COUNT.size
                    _COUNT.pack_into(
                        self._memory, at, _COUNT.unpack_from(self._memory, at)[0] + letters.count(letter)
                    )

    def recalled(self) -> int:
        """Return the sequence of the claim that the supervisor takes back; -1 for none."""
        sequence: int = _RECALLED.unpack_from(self._memory, self._at + _RECALLED_AT)[0]
        return sequence

    def set_deadline(self, deadline: Deadline) -> None:
        """Note which run must have ended first, and when."""
        _DEADLINE.pack_into(
            self._memory,
            self._at + _DEADLINE_AT,
            deadline.until_s,
            deadline.limit_s,
            deadline.sequence,
            deadline.position,
            deadline.name,
        )

    def leave_will(self, will: bytes) -> None:
        """Leave what is to be known of this run should its process die; one that is too long is not left."""
        at = self._at + _WILL_AT
        length = len(will) if len(will) <= WILL_BYTES_MAX else 0
        if length:
            self._memory[at + _WILL_LENGTHS.size : at + _WILL_LENGTHS.size + length] = will
        _WILL_LENGTHS.pack_into(self._memory, at, length, 0)

    def take_will(self) -> tuple[bytes, bytes] | None:
        """Take what the child before left at this place, and what is said of its death; None if there is nothing."""
        at = self._at + _WILL_AT
        will_bytes, death_bytes = _WILL_LENGTHS.unpack_from(self._memory, at)
        _WILL_LENGTHS.pack_into(self._memory, at, 0, 0)
        if not (0 < will_bytes <= WILL_BYTES_MAX and 0 < death_bytes <= _DEATH_BYTES_MAX):
            return None
        will_at = at + _WILL_LENGTHS.size
        death_at = will_at + WILL_BYTES_MAX
        return self._memory[will_at : will_at + will_bytes], self._memory[death_at : death_at + death_bytes]

    def noted(self) -> Note:
        """Return what was noted last."""
        return _read_note(self._memory, self._at)

    def blame_nobody(self) -> None:
        """Note that nothing runs, though something may: this process is about to end, for no message's fault."""
        self.note(self.noted().sequence, NOTHING, 0, time.monotonic())

    def condemned(self) -> int:
        """Return the sequence of the claim in which the supervisor is about to end a run; -1 for none."""
        sequence: int = _RECALLED.unpack_from(self._memory, self._at + _CONDEMNED_AT)[0]
        return sequence

    def slips(self) -> list[Slip]:
        """Return the slips that have not been heeded yet."""
        written, read = _SLIP_COUNTS.unpack_from(self._memory, self._at + _SLIPS_WRITTEN_AT)
        found = []
        for number in range(read, written):
            slip_at = self._at + _SLIPS_AT + number % SLIPS_MAX * _SLIP.size
            sequence, position, name = _SLIP.unpack_from(self._memory, slip_at)
            found.append(Slip(sequence, position, name.rstrip(b"\0").decode(errors="ignore")))
        return found

    def heeded(self, count: int) -> None:
        """Say that the next so many slips have been heeded."""
        at = self._at + _SLIPS_READ_AT
        _COUNT.pack_into(self._memory, at, _COUNT.unpack_from(self._memory, at)[0] + count)


def counting(desk: Desk, sheet: Sheet | None) -> Callable[[bytes], None]:
    """Return what counts committed outcomes by their letters, on a child's place and, if it has one, on its sheet."""
    if sheet is None:
        return desk.count

    def count(letters: bytes) -> None:
        desk.count(letters)
        sheet.committed(letters)

    return count
