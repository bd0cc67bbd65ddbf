"""Dead letters: messages that will not be tried again, kept with their story for a person to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from taskmesh.codec.envelope import Envelope, encode_envelope
from taskmesh.codec.signing import Signer
from taskmesh.core import keys, record
from taskmesh.core.ids import routing_of, slot_of
from taskmesh.core.record import Record, head_parts, parse
from taskmesh.core.script import load_script
from taskmesh.core.state import LETTER, State
from taskmesh.core.steps import Call, Session, Steps
from taskmesh.queue.enqueue import NewMessage
from taskmesh.replication.ask import answer, ask, look, plain
from taskmesh.replication.route_pages import BEGIN, place

DEAD = load_script("taskmesh.queue", "dead")
DROP = load_script("taskmesh.queue", "drop")
#: Whole records in one reply: each may hold megabytes.
RECORDS_MAX = 20
#: Ids in one reply, and in one call that drops them.
IDS_MAX = 1000

DROPPED = ord("o")
UNKNOWN = ord("-")


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A dead letter as it is listed.

    Attributes:
        task_id: Its id.
        died_ms: When it was given up.
        record: Its record; None where that was not asked for, or has just been removed.
    """

    task_id: str
    died_ms: int
    record: Record | None


def dead_letters(
    session: Session, most: int, *, newest_first: bool = True
) -> Steps[tuple[int, list[DeadLetter]]]:
    """Return how many dead letters there are, and the first of them with their records, in bounded steps."""
    total, found, cursor = 0, list[DeadLetter](), BEGIN
    while len(found) < most:
        step = min(RECORDS_MAX, most - len(found))
        total, cursor, letters = yield from _letters(
            session, cursor, step, newest_first=newest_first, records=True
        )
        found += letters
        if len(letters) < step:
            break
    return total, found


def dead_ids(session: Session) -> Steps[list[str]]:
    """Return the ids of all dead letters, the oldest first."""
    found, cursor = list[str](), BEGIN
    while True:
        _, cursor, letters = yield from _letters(session, cursor, IDS_MAX, newest_first=False, records=False)
        found += [letter.task_id for letter in letters]
        if len(letters) < IDS_MAX:
            return found


def _letters(
    session: Session, cursor: bytes, most: int, *, newest_first: bool, records: bool
) -> Steps[tuple[int, bytes, list[DeadLetter]]]:
    order = b"newest" if newest_first else b"oldest"
    call = Call(DEAD, session.prefix, (cursor, b"%d" % most, order, b"1" if records else b"0"))
    total, following, *rest = yield from look(session, call)
    letters = [
        DeadLetter(rest[at].decode(), int(float(rest[at + 1])), parse(rest[at + 2]) if rest[at + 2] else None)
        for at in range(0, len(rest), 4)
    ]
    return int(total), place(following), letters


def dead_queues(session: Session, most: int) -> Steps[tuple[int, dict[str, str]]]:
    """Return how many dead letters one node lists, and of the newest the queue, by id; no look may take long.

    Args:
        session: Where; of several nodes each is asked for its own, and two may list the same for a while.
        most: So many are looked at.
    """
    prefix = session.prefix
    dead = keys.dead_letters(prefix)
    total: int = yield from plain(session, b"ZCARD", dead)
    ids = yield from plain(session, b"ZRANGE", dead, b"0", b"%d" % (most - 1), b"REV")
    found: dict[str, str] = {}
    for at in range(0, len(ids), IDS_MAX):
        some = [task_id.decode() for task_id in ids[at : at + IDS_MAX]]
        last = b"%d" % (record.NAMED_MAX - 1)
        replies = yield [
            Call(None, prefix, (b"GETRANGE", keys.record(prefix, task_id), b"0", last)) for task_id in some
        ]
        for task_id, reply in zip(some, replies, strict=True):
            if queue := record.queue_of(answer(session, "GETRANGE", reply)):  # else it is being removed
                found[task_id] = queue
    return total, found


def whole_record(session: Session, task_id: str) -> Steps[Record | None]:
    """Return a record with its envelope, None for an id that is not known."""
    raw = yield from plain(session, b"GET", keys.record(session.prefix, task_id))
    return parse(raw) if raw is not None else None


def drop(session: Session, ids: Sequence[str], *, patience_s: float = 10.0) -> Steps[bytes]:
    """Drop dead letters.

    Returns:
        Per id `DROPPED`, `UNKNOWN`, else the letter of its state: it is no dead letter, or was dropped before.
    """
    verdicts = b""
    for at in range(0, len(ids), IDS_MAX):
        args = [task_id.encode() for task_id in ids[at : at + IDS_MAX]]
        verdicts += yield from ask(session, DROP, *args, patience_s=patience_s)
    return verdicts


def sent_again(
    old: Envelope,
    found: Record,
    *,
    task_id: str,
    now_ms: int,
    slots: int,
    sender: str,
    signer: Signer,
    keys: tuple[bytes, ...] | None = None,
) -> NewMessage:
    """Return a new message that asks for the same run as an old one.

    What the old one went through (attempts, crashes, suspicion) is not passed on.

    Args:
        old: Its envelope, verified.
        found: Its record.
        task_id: A new id; where the old one had keys, one that lives where they lead.
        now_ms: The node's time.
        slots: Of the mesh.
        sender: Who sends it again.
        signer: Of kind "message".
        keys: Those of the old one, see `message_keys`; None for none.
    """
    envelope = msgspec.structs.replace(
        old,
        id=task_id,
        created_ms=now_ms,
        expires_ms=0,  # whoever sends it again wants it to run
        channel="",
        sender=sender,
        # the time for its retries begins anew
        extras={name: fact for name, fact in (old.extras or {}).items() if name != "due"}
        | {"retry_of": old.id},
    )
    start, middle, end, names = head_parts(
        state=LETTER[State.PENDING],
        queue=envelope.queue.encode(),
        channel=b"",
        function=envelope.function.encode(),
        priority=found.priority,
        flags=found.flags & (record.IGNORE_RESULT | record.AT_MOST_ONCE),
        result_ttl_s=found.result_ttl_s,
    )
    slot = b"%04x" % slot_of(routing_of(task_id), slots)
    wire = encode_envelope(envelope, signer)
    return NewMessage(
        task_id.encode(),
        b"%b%b%b%012x%012x%b%b%b" % (start, slot, middle, now_ms, 0, end, names, wire),
        slot,
        envelope.queue.encode(),
        now_ms,
        priority=b"%d" % found.priority,
        function=envelope.function.encode(),
        keys=keys,
    )
