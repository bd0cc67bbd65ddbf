"""What people do to queues: revoke, look, purge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from taskmesh.core.script import load_script
from taskmesh.core.steps import Call, NoAnswer, NodeError, Refused, Session, Steps
from taskmesh.errors import NodeFault, NodeUnavailable
from taskmesh.replication.ask import ask

REVOKE = load_script("taskmesh.queue", "revoke")
STATUS = load_script("taskmesh.queue", "status")
PEEK = load_script("taskmesh.queue", "peek")


@dataclass(frozen=True, slots=True)
class Status:
    """Counts of one moment.

    Attributes:
        queues: Queue -> ready messages.
        delayed: Messages that wait for a time.
        parked: Of those, how many wait for a worker that knows their task.
        dead: Dead letters.
        stats: (queue, state letter) -> how many reached that state.
        workers: (incarnation, state, beat, info as JSON, running).
        idle: Queue -> children that are idle on it.
        paused: Queues from which nothing is claimed.
        blocked: Queue -> messages that wait for their turn in a sequence.
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


def _look(session: Session, call: Call) -> Steps[Any]:
    (reply,) = yield [call]
    if isinstance(reply, NodeError):
        raise NodeFault(reply.text, text=reply.text)
    if isinstance(reply, (Refused, NoAnswer)):
        raise NodeUnavailable(
            f"the node did not answer: {reply.reason}", node=session.prefix.decode(), may_be_done=False
        )
    return reply


def peek(session: Session, queue: str, most: int) -> Steps[list[tuple[str, bytes]]]:
    """Return (id, version) of the first messages of a queue, in the order of their turn."""
    reply = yield from _look(session, Call(PEEK, session.prefix, (queue.encode(), b"%d" % most)))
    return [(reply[i].decode(), reply[i + 1]) for i in range(0, len(reply), 2)]


def status(session: Session) -> Steps[Status]:
    """Count."""
    queues, delayed, parked, dead, stats, workers, idle, paused, blocked = yield from _look(
        session, Call(STATUS, session.prefix, ())
    )
    counted = {}
    for i in range(0, len(stats), 2):
        queue, _, letter = stats[i].decode().rpartition(":")
        counted[queue, letter] = int(stats[i + 1])
    return Status(
        queues={row[0].decode(): sum(row[1:]) for row in queues},
        delayed=delayed,
        parked=parked,
        dead=dead,
        stats=counted,
        workers=[(w[0].decode(), w[1].decode(), int(w[2]), w[3], w[4]) for w in workers],
        idle={row[0].decode(): row[1] for row in idle},
        paused=frozenset(name.decode() for name in paused),
        blocked={blocked[i].decode(): blocked[i + 1] for i in range(0, len(blocked), 2)},
    )
