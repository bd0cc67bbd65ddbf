"""What the registers of a transaction hold: its decision, and what it does.

A transaction is decided by one register, `tx/<id>`: whoever writes it first decides (Gray and Lamport, "Consensus on
Transaction Commit", with the acceptors of that register in place of many). What it does lies in it, or, if that is
long, in parts that were written before. So after the decision anybody can do it, and before it nobody.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Final

import msgspec

from taskmesh.consensus.registers import Change, Keep, Verdict, Versioned, Write
from taskmesh.coordination.content import Content

PREFIX: Final = "tx/"
FORMAT: Final = 1
COMMITTED, ABORTED, DONE = "committed", "aborted", "done"
#: Bytes in one part; a register holds 64 KiB, and what is kept beside them.
PART_SIZE: Final = 48 * 1024
#: Bytes up to which it lies in the decision itself.
INLINE_SIZE_MAX: Final = 32 * 1024
#: Of one transaction.
SIZE_MAX: Final = 4 * 1024 * 1024
MESSAGES_MAX, FILES_MAX, RELEASES_MAX = 1000, 200, 100
#: Bytes of the ids of its messages, which stay known for as long as it does.
IDS_SIZE_MAX: Final = 40 * 1024
#: Attempts given up that a register remembers; each of them lasted for a minute.
GIVEN_UP_MAX: Final = 64
ID: Final = re.compile(r"[A-Za-z0-9_.@:+=~-]{1,100}")
ATTEMPT_SIZE: Final = 8


class Outgoing(msgspec.Struct, array_like=True, frozen=True):
    """A message that is to be recorded; the fields are those of `queue.enqueue.NewMessage`."""

    task_id: bytes
    record: bytes
    slot: bytes
    queue: bytes
    priority: bytes
    due_ms: bytes
    expires_ms: bytes
    function: bytes
    keys: tuple[bytes, ...] | None


class FileChange(msgspec.Struct, array_like=True, frozen=True):
    """A file that is to be written, or deleted if there is no data.

    Attributes:
        path: Where.
        data: The content; None to delete it.
        fence: A token; None for none.
    """

    path: str
    data: bytes | None
    fence: int | None = None


class Release(msgspec.Struct, array_like=True, frozen=True):
    """A lock that is to be given back.

    Attributes:
        register: Of its line.
        request: The wish that was granted.
    """

    register: str
    request: bytes


class Doing(msgspec.Struct, array_like=True, frozen=True):
    """All that a transaction does.

    Attributes:
        messages: They are recorded.
        functions: Content hash -> signed function, for messages sent by value.
        files: They are written or deleted; each path once.
        releases: These locks are given back.
    """

    messages: tuple[Outgoing, ...] = ()
    functions: dict[bytes, bytes] = {}
    files: tuple[FileChange, ...] = ()
    releases: tuple[Release, ...] = ()


class TransactionState(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the register of a transaction holds.

    Attributes:
        phase: `COMMITTED`: decided, and to be done; `DONE`; `ABORTED`: this attempt is not to be decided any more.
        attempt: Random id of the attempt that was decided: the same transaction may be tried by several.
        digest: Tells whether another attempt wants the same.
        at_ms: When that was written, Unix time.
        by: Whose it is, for people.
        parts: In how many parts it lies; 0 if in `inline`.
        inline: What is to be done, packed.
        bases: For each file the version at which it is to be changed; 0 where there is none.
        sent: A bit for each message that is recorded, where others of them could not be yet.
        ids: Of a transaction that is done: of its messages.
        files: How many it changes.
        releases: How many locks it gives back.
        messages: How many it sends.
        given_up: Attempts that are not to be decided any more either, the last ones.
        format: Of this.
    """

    phase: str
    attempt: bytes
    digest: bytes = b""
    at_ms: int = 0
    by: str = ""
    parts: int = 0
    inline: bytes = b""
    bases: tuple[int, ...] = ()
    sent: bytes = b""
    ids: tuple[str, ...] = ()
    files: int = 0
    releases: int = 0
    messages: int = 0
    given_up: tuple[bytes, ...] = ()
    format: int = FORMAT


_STATE: Final = Content(TransactionState, "the register of a transaction", FORMAT)
_DOING: Final = Content(Doing, "what a transaction is to do")
pack_doing = _DOING.pack
unpack_doing = _DOING.unpack


def register_of(transaction: str) -> str:
    """Return the register that decides a transaction."""
    return PREFIX + transaction


def part_of(transaction: str, attempt: bytes, number: int) -> str:
    """Return the register of a part of what an attempt is to do."""
    return f"{PREFIX}{transaction}/{attempt.hex()}/{number}"


def whose(register: str) -> tuple[str, bytes | None]:
    """Return of which transaction a register is, and of which attempt if it is a part."""
    transaction, *rest = register.removeprefix(PREFIX).split("/")
    return transaction, bytes.fromhex(rest[0]) if rest else None


def read_transaction(found: Versioned) -> TransactionState | None:
    """Return what a register holds; None if the transaction is not decided, or is known no more.

    Raises:
        NewerFormat, Malformed: It cannot be read.
    """
    return None if found.content is None else _STATE.unpack(found.content)


def operation_of(transaction: str, attempt: bytes, at: int) -> bytes:
    """Return the id of the operation that changes a file: whoever completes a transaction uses the same."""
    return blake2b(b"%s %s %d" % (transaction.encode(), attempt, at), digest_size=12).digest()


def cut(packed: bytes) -> list[bytes]:
    """Return what is to be done in parts; none if it fits into the decision."""
    if len(packed) <= INLINE_SIZE_MAX:
        return []
    return [packed[at : at + PART_SIZE] for at in range(0, len(packed), PART_SIZE)]


# -- whether a message was recorded -------------------------------------------------


def with_bits(bits: bytes, positions: set[int]) -> bytes:
    """Return bits of which some more are set."""
    number = int.from_bytes(bits, "little")
    for at in positions:
        number |= 1 << at
    return number.to_bytes((number.bit_length() + 7) // 8, "little")


def has_bit(bits: bytes, at: int) -> bool:
    """Tell whether a bit is set."""
    return bool(int.from_bytes(bits[at // 8 : at // 8 + 1], "little") >> at % 8 & 1)


# -- how the register changes -------------------------------------------------------


def decided(new: TransactionState) -> Change:
    """Decide; the answer is `committed`, `same` or `other` where another attempt was, or `aborted`."""

    def change(found: Versioned) -> Verdict:
        old = read_transaction(found)
        if old is None:
            return Write(_STATE.pack(new), b"committed")
        if old.phase == ABORTED:
            # the parts of any of these may have been swept
            given_up = _given_up(old)
            if new.attempt in given_up:
                return Keep(b"aborted")
            return Write(_STATE.pack(msgspec.structs.replace(new, given_up=given_up)), b"committed")
        if old.attempt == new.attempt:
            return Keep(b"committed")
        return Keep(b"same" if old.digest == new.digest else b"other")

    return change


def aborted(attempt: bytes, at_ms: int) -> Change:
    """Decide that an attempt is not to be decided; the answer is `aborted`, or empty where something was decided."""

    def change(found: Versioned) -> Verdict:
        old = read_transaction(found)
        if old is not None and old.phase != ABORTED:
            return Keep()
        given_up = () if old is None else _given_up(old)
        if attempt in given_up:
            return Keep(b"aborted")
        new = TransactionState(ABORTED, attempt, at_ms=at_ms, given_up=given_up)
        return Write(_STATE.pack(new), b"aborted")

    return change


def undone(attempt: bytes, at_ms: int) -> Change:
    """Abort what was decided too late: its parts had been swept, so nobody can have done any of it."""

    def change(found: Versioned) -> Verdict:
        old = read_transaction(found)
        if old is None or not _is_open(old, attempt):
            return Keep()
        new = TransactionState(ABORTED, attempt, at_ms=at_ms, given_up=old.given_up)
        return Write(_STATE.pack(new), b"aborted")

    return change


def rebased(attempt: bytes, at: int, base: int, new_base: int) -> Change:
    """Have a file changed at another version, for it has moved on; the answer is the version, empty if all is done."""

    def change(found: Versioned) -> Verdict:
        old = read_transaction(found)
        if old is None or not _is_open(old, attempt):
            return Keep()
        if old.bases[at] != base:
            return Keep(b"%d" % old.bases[at])
        bases = (*old.bases[:at], new_base, *old.bases[at + 1 :])
        return Write(_STATE.pack(msgspec.structs.replace(old, bases=bases)), b"%d" % new_base)

    return change


def progressed(attempt: bytes, positions: set[int]) -> Change:
    """Note which messages are recorded, where others could not be yet."""

    def change(found: Versioned) -> Verdict:
        old = read_transaction(found)
        if old is None or not _is_open(old, attempt):
            return Keep()
        sent = with_bits(old.sent, positions)
        return Keep() if sent == old.sent else Write(_STATE.pack(msgspec.structs.replace(old, sent=sent)))

    return change


def done(attempt: bytes, ids: tuple[str, ...], at_ms: int) -> Change:
    """Note that all of it is done."""

    def change(found: Versioned) -> Verdict:
        old = read_transaction(found)
        if old is None or not _is_open(old, attempt):
            return Keep()
        new = msgspec.structs.replace(
            old, phase=DONE, at_ms=at_ms, inline=b"", bases=(), sent=b"", given_up=(), ids=ids
        )
        return Write(_STATE.pack(new))

    return change


def _given_up(state: TransactionState) -> tuple[bytes, ...]:
    return (*state.given_up, state.attempt)[-GIVEN_UP_MAX:]


def _is_open(state: TransactionState | None, attempt: bytes) -> bool:
    return state is not None and state.phase == COMMITTED and state.attempt == attempt
