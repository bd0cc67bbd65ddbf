"""A look at workers, at what they hold and at what waits for its time: in steps that are bounded, changing nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from taskmesh.core import keys
from taskmesh.core.record import HEAD_LENGTH, Record, parse
from taskmesh.core.script import load_script
from taskmesh.core.state import LETTER, State
from taskmesh.core.steps import Call, Session, Steps
from taskmesh.errors import Malformed
from taskmesh.queue.claim import ELSEWHERE, sequence_of
from taskmesh.replication.ask import answer, look, plain
from taskmesh.replication.route_pages import BEGIN, place
from taskmesh.replication.routed import is_replicated

SCHEDULED = load_script("taskmesh.queue", "scheduled")
STARTED = LETTER[State.STARTED]
#: In the head of a record: the child and the claim that hold it.
LEASE = slice(22, 52)
#: Length of the name under which a child's last sequence stands, and what stands there when the child has ended.
CHILD_FIELD, ENDED = 7, b"ffffffff"
#: Calls that travel together.
TOGETHER = 100
#: Whole records that travel together: each may hold megabytes.
RECORDS_MAX = 20


@dataclass(frozen=True, slots=True)
class Seen:
    """A worker as it stands on the node; nothing of it is verified.

    Attributes:
        incarnation: One life of it.
        state: `live`, or `dead` while what it held is given back.
        info: What it told of itself when it registered, as JSON.
        report: What it published with its last beat; empty for none.
    """

    incarnation: str
    state: str
    info: bytes
    report: bytes


@dataclass(frozen=True, slots=True)
class Holding:
    """A message that a child holds: claimed, and not ended."""

    sequence: int
    position: int
    task_id: str
    head: bytes


@dataclass(frozen=True, slots=True)
class Waiting:
    """A message that waits for its time.

    Attributes:
        task_id: Its id.
        due_ms: When its time comes.
        build: The build of the worker that did not know its task; empty if it only waits.
        record: Its record; None if that cannot be read.
    """

    task_id: str
    due_ms: int
    build: str
    record: Record | None


def workers(session: Session) -> Steps[list[Seen]]:
    """Return all workers."""
    found: list[Seen] = []
    incarnations = yield from plain(session, b"SMEMBERS", keys.workers(session.prefix))
    for start in range(0, len(incarnations), TOGETHER):
        some = incarnations[start : start + TOGETHER]
        replies = yield [
            Call(
                None,
                session.prefix,
                (b"HMGET", keys.worker(session.prefix, incarnation), b"state", b"info", b"report"),
            )
            for incarnation in some
        ]
        for incarnation, reply in zip(some, replies, strict=True):
            state, info, report = answer(session, "HMGET", reply)
            if state is not None:
                found.append(
                    Seen(
                        incarnation.decode(errors="replace"),
                        state.decode(errors="replace"),
                        info or b"",
                        report or b"",
                    )
                )
    return found


def holdings(session: Session, holders: Sequence[bytes], most: int) -> Steps[list[list[Holding]]]:
    """Return what each of some children holds, in the order of its claims.

    Args:
        session: Where.
        holders: The children.
        most: Of each so many are read, even if it holds more: one that runs many at once may hold 100,000.
    """
    # sequences of one child on two nodes may be alike
    found: dict[bytes, dict[tuple[int, int, str], Holding]] = {holder: {} for holder in holders}
    cursors = dict.fromkeys(holders, b"0")
    while cursors:
        names = list(cursors)
        replies = yield [_scan(session, holder, cursors[holder]) for holder in names]
        for holder, reply in zip(names, replies, strict=True):
            cursors[holder], claims = answer(session, "HSCAN", reply)
            room = most - len(found[holder])
            yet = [held for held in _claimed(claims) if _key(held) not in found[holder]][:room]
            for held in (yield from _still(session, holder, yet)):
                found[holder][_key(held)] = held
        cursors = {
            holder: cursor
            for holder, cursor in cursors.items()
            if cursor != b"0" and len(found[holder]) < most
        }
    return [[found[holder][place] for place in sorted(found[holder])] for holder in holders]


def _key(held: Holding) -> tuple[int, int, str]:
    return held.sequence, held.position, held.task_id


def _scan(session: Session, holder: bytes, cursor: bytes) -> Call:
    return Call(None, session.prefix, (b"HSCAN", keys.run(session.prefix, holder), cursor, b"COUNT", b"20"))


def _claimed(claims: Sequence[bytes]) -> list[Holding]:
    """Return the messages in claims, as the running index has them: some may have ended since."""
    return [
        Holding(sequence_of(claims[at]), position, task_id.decode(), b"")
        for at in range(0, len(claims), 2)
        for position, task_id in enumerate(claims[at + 1].split(b"\n"), 1)
    ]


def _still(session: Session, holder: bytes, claimed: Sequence[Holding]) -> Steps[list[Holding]]:
    """Return those that the child still holds, with the heads of their records."""
    found: list[Holding] = []
    for start in range(0, len(claimed), TOGETHER):
        some = claimed[start : start + TOGETHER]
        replies = yield [
            Call(
                None,
                session.prefix,
                (b"GETRANGE", keys.record(session.prefix, held.task_id), b"0", b"%d" % (HEAD_LENGTH - 1)),
            )
            for held in some
        ]
        for held, reply in zip(some, replies, strict=True):
            head = answer(session, "GETRANGE", reply)
            if head[1:2] == STARTED and head[LEASE] == b"%b%08x" % (holder, held.sequence % ELSEWHERE):
                found.append(replace(held, head=head))
    return found


def records(session: Session, ids: Sequence[str]) -> Steps[list[Record | None]]:
    """Return records with their envelopes; None for those that are gone or cannot be read."""
    found: list[Record | None] = []
    for start in range(0, len(ids), RECORDS_MAX):
        names = [keys.record(session.prefix, task_id) for task_id in ids[start : start + RECORDS_MAX]]
        reply = yield from plain(session, b"MGET", *names)
        found += [_parsed(raw) for raw in reply]
    return found


def scheduled(session: Session, most: int, start: int = 0) -> Steps[tuple[int, list[Waiting]]]:
    """Return about how many messages wait for their time, and the first of them.

    Args:
        session: Where.
        most: How many to return.
        start: How many to pass over.
    """
    found: list[Waiting] = []
    several = is_replicated(session)
    # on several nodes a place in the list is one in each of theirs, so what is passed over is looked at
    passed, cursor, total = (start, BEGIN, 0) if several else (0, b"%d" % start, 0)
    while len(found) < passed + most:
        step = min(RECORDS_MAX, passed + most - len(found))
        call = Call(SCHEDULED, session.prefix, (cursor, b"%d" % step))
        total, following, *rest = yield from look(session, call)
        found += [
            Waiting(
                rest[i].decode(),
                int(float(rest[i + 1])),
                rest[i + 2].decode(errors="replace"),
                _parsed(rest[i + 3]),
            )
            for i in range(0, len(rest), 5)
        ]
        if place(following) == cursor:
            break
        cursor = place(following)
    return int(total), found[passed:]


def _parsed(raw: bytes | None) -> Record | None:
    try:
        return parse(raw) if raw else None
    except Malformed:
        return None  # anybody may have written there; what stands there is said to be unreadable


def begun(session: Session, incarnation: bytes) -> Steps[int]:
    """Return how many children of an incarnation have begun to claim, and have not ended."""
    fields: list[bytes] = yield from plain(session, b"HGETALL", keys.worker(session.prefix, incarnation))
    told = dict(zip(fields[::2], fields[1::2], strict=True))
    return sum(
        name.startswith(b"s") and len(name) == CHILD_FIELD and sequence != ENDED
        for name, sequence in told.items()
    )
