"""What people do to queues: revoke, look, purge, forget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from taskmesh.core.keys import queues
from taskmesh.core.script import load_script
from taskmesh.core.state import FINAL, LETTER
from taskmesh.core.steps import Call, Session, Steps
from taskmesh.replication.ask import ask, look, plain
from taskmesh.replication.routed import is_replicated

REVOKE = load_script("taskmesh.queue", "revoke")
STATUS = load_script("taskmesh.queue", "status")
LENGTHS = load_script("taskmesh.queue", "lengths")
PEEK = load_script("taskmesh.queue", "peek")
UNLIST = load_script("taskmesh.queue", "unlist")
#: Queues that are counted in one call of the script, which takes the node about a millisecond.
QUEUES_AT_ONCE = 100
#: What became of a queue that was to be forgotten.
FORGOTTEN, NOT_LISTED, IS_PAUSED, HAS_MESSAGES, HAS_IDLE = b"o", b"-", b"p", b"m", b"i"
_FINAL_LETTERS = b"".join(LETTER[state] for state in sorted(FINAL))


@dataclass(frozen=True, slots=True)
class Status:
    """Counts of one moment.

    Attributes:
        queues: Queue -> ready messages.
        delayed: Messages that wait for a time.
        parked: Of those, how many wait for a worker that knows their task.
        dead: Dead letters.
        stats: (queue, letter of a final state) -> how many reached that state.
        workers: (incarnation, state, beat, info as JSON, running).
        idle: Queue -> children that are idle on it.
        paused: Queues from which nothing is claimed.
        blocked: Queue -> messages that wait for their turn in a sequence.
        candidates: What each candidate for the lead says of itself, behind its id; see `coordination/candidates.py`.
    """

    queues: dict[str, int]
    delayed: int
    parked: int
    dead: int
    stats: dict[tuple[str, str], int]
    workers: list[tuple[str, str, int, bytes, int]]
    idle: dict[str, int]
    paused: frozenset[str] = frozenset()
    blocked: Mapping[str, int] = field(default_factory=dict)
    candidates: Sequence[bytes] = ()


def revoke(
    session: Session, entries: Sequence[tuple[bytes, bytes, bytes]], *, patience_s: float = 10.0
) -> Steps[bytes]:
    """Revoke messages.

    Args:
        session: Where.
        entries: (id, version as 8 hex digits or empty for any, signed outcome).
        patience_s: How long to go on repeating.

    Returns:
        Per entry `o` revoked, `T` runs and is flagged, `-` unknown, `!` moved on from that version, else the
        letter of the final state that it has.
    """
    args = [word for entry in entries for word in entry]
    reply: bytes = yield from ask(session, REVOKE, b"V", *args, patience_s=patience_s)
    return reply


def peek(session: Session, queue: str, most: int) -> Steps[list[tuple[str, bytes]]]:
    """Return (id, version) of the first messages of a queue, in the order of their turn."""
    reply = yield from ask(session, PEEK, queue.encode(), b"%d" % most)
    return [(reply[i].decode(), reply[i + 1]) for i in range(0, len(reply), 2)]


def forget_queue(session: Session, queue: str, *, patience_s: float = 10.0) -> Steps[bytes]:
    """Have a queue listed no more, if nothing uses it; whatever is put into its line lists it again.

    Returns:
        `FORGOTTEN`, `NOT_LISTED`, or why not: `IS_PAUSED`, `HAS_MESSAGES`, `HAS_IDLE`.
    """
    if is_replicated(session):
        # none of its nodes is to forget a queue that another one has to keep
        told: bytes = yield from ask(
            session, UNLIST, queue.encode(), _FINAL_LETTERS, b"?", patience_s=patience_s
        )
        if told != FORGOTTEN:
            return told
    reply: bytes = yield from ask(session, UNLIST, queue.encode(), _FINAL_LETTERS, patience_s=patience_s)
    return reply


def status(session: Session, *, with_queues: bool = True) -> Steps[Status]:
    """Count. Of many queues some at a time, so that the counts are of about the same moment.

    Args:
        session: Where.
        with_queues: Whether to count queue by queue; without, `queues`, `stats`, `idle` and `blocked` stay empty.
    """
    delayed, parked, dead, workers, paused, candidates = yield from look(
        session, Call(STATUS, session.prefix, ())
    )
    names: list[bytes] = []
    if with_queues:
        names = sorted((yield from plain(session, b"SMEMBERS", queues(session.prefix))))
    rows: list[list[int]] = []
    for at in range(0, len(names), QUEUES_AT_ONCE):
        some = names[at : at + QUEUES_AT_ONCE]
        rows += yield from look(session, Call(LENGTHS, session.prefix, (_FINAL_LETTERS, *some)))
    counted = dict(zip((name.decode() for name in names), rows, strict=True))
    return Status(
        queues={name: row[0] for name, row in counted.items()},
        delayed=delayed,
        parked=parked,
        dead=dead,
        stats={
            (name, letter): number
            for name, row in counted.items()
            for letter, number in zip(_FINAL_LETTERS.decode(), row[3:], strict=True)
            if number
        },
        workers=[(w[0].decode(), w[1].decode(), int(w[2]), w[3], w[4]) for w in workers],
        idle={name: row[1] for name, row in counted.items()},
        paused=frozenset(name.decode() for name in paused),
        blocked={name: row[2] for name, row in counted.items()},
        candidates=tuple(candidates),
    )
