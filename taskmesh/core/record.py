"""The record of one message: an ASCII head of fixed width, then its parts.

    offset  length  field
         0       1  format, "1"
         1       1  state (a letter, see `state`)
         2       8  version, 36 digits; grows with every move (see `version_order`)
        10      12  epoch of the last claim, hex
        22      16  incarnation of the worker that claimed it, hex
        38       6  its child, hex
        44       8  the child's claim sequence, hex
        52       4  slot, hex
        56       2  attempt, hex, from 1
        58       2  crashes, hex
        60       1  priority, 0 to 9
        61       1  flags, hex
        62      12  created, ms, hex
        74      12  moment, ms, hex: due while it waits, parked until, or finished
        86       8  how long to keep the result, s, hex
        94       8  length of the outcome, hex
       102       2  length of the queue name, hex
       104       2  length of the channel, hex
       106       2  length of the function hash, hex
       108          queue, channel, function hash, outcome, envelope

Bytes 2 to 52 of a STARTED record are its **claim token**. Digits rather than packed integers: Lua
numbers are doubles, and a person can read the record in any client.
"""

from __future__ import annotations

from dataclasses import dataclass

from taskmesh.core.state import STATE_OF, State
from taskmesh.errors import Malformed

FORMAT = 0x31
HEAD_LENGTH = 108
TOKEN = slice(2, 52)
NO_CLAIM = b"0" * 42

IGNORE_RESULT = 1
REVOKE_REQUESTED = 2
CLAIM_SINGLY = 4
AT_MOST_ONCE = 8

QUEUE_LENGTH_MAX = 100
#: Its first so many bytes are enough to know the queue of a record.
NAMED_MAX = HEAD_LENGTH + QUEUE_LENGTH_MAX
#: An id is remembered, by its state alone, for at least so long after it became final.
REMEMBER_S = 600


@dataclass(frozen=True, slots=True)
class Record:
    """A record taken apart. Times in milliseconds since 1970."""

    state: State
    version: int
    token: str
    slot: int
    attempt: int
    crashes: int
    priority: int
    flags: int
    created_ms: int
    moment_ms: int
    result_ttl_s: int
    queue: str
    channel: bytes
    function: str
    outcome: bytes
    envelope: bytes


def head_parts(
    *,
    state: bytes,
    queue: bytes,
    channel: bytes,
    function: bytes,
    priority: int,
    flags: int,
    result_ttl_s: int,
) -> tuple[bytes, bytes, bytes, bytes]:
    """Return what surrounds slot, created and due in a new record, so that a sender formats it once.

    Returns:
        `(a, b, c, d)`; the record is `a + slot + b + created + due + c + d + envelope` with slot as 4 and
        the times as 12 hex digits; `d` holds the queue, the channel and the function hash.
    """
    start = b"1" + state + b"00000001" + NO_CLAIM
    middle = b"0100%d%x" % (priority, flags)
    end = b"%08x00000000%02x%02x%02x" % (result_ttl_s, len(queue), len(channel), len(function))
    return start, middle, end, queue + channel + function


def queue_of(raw: bytes) -> str:
    """Return the queue of a record, or of its beginning; empty if none is in it, for anybody may have written there."""
    try:
        return raw[HEAD_LENGTH : HEAD_LENGTH + int(raw[102:104], 16)].decode("ascii")
    except ValueError:
        return ""


def parse(raw: bytes) -> Record:
    """Take a record apart.

    Raises:
        Malformed: The bytes are not a record.
    """
    try:
        if raw[0] != FORMAT:
            raise ValueError(f"format byte {raw[0]:#x}")
        queue_end = HEAD_LENGTH + int(raw[102:104], 16)
        channel_end = queue_end + int(raw[104:106], 16)
        function_end = channel_end + int(raw[106:108], 16)
        outcome_end = function_end + int(raw[94:102], 16)
        return Record(
            state=STATE_OF[raw[1]],
            version=int(raw[2:10], 36),
            token=raw[TOKEN].decode("ascii"),
            slot=int(raw[52:56], 16),
            attempt=int(raw[56:58], 16),
            crashes=int(raw[58:60], 16),
            priority=int(raw[60:61]),
            flags=int(raw[61:62], 16),
            created_ms=int(raw[62:74], 16),
            moment_ms=int(raw[74:86], 16),
            result_ttl_s=int(raw[86:94], 16),
            queue=raw[HEAD_LENGTH:queue_end].decode("ascii"),
            channel=raw[queue_end:channel_end],
            function=raw[channel_end:function_end].decode("ascii"),
            outcome=raw[function_end:outcome_end],
            envelope=raw[outcome_end:],
        )
    except (ValueError, KeyError, IndexError, UnicodeDecodeError) as error:
        raise Malformed(f"not a record of TaskMesh: {error}; the first bytes are {raw[:24]!r}") from error
