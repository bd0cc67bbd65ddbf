"""The liveness of workers, and what becomes of what a dead one held."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from taskmesh.core.script import load_script
from taskmesh.core.steps import Session, Steps
from taskmesh.queue.commit import DEAD_EXPIRES_S
from taskmesh.replication.ask import ask

WORKER = load_script("taskmesh.queue", "worker")
REAP = load_script("taskmesh.queue", "reap")
UNPARK = load_script("taskmesh.queue", "unpark")

#: So many others a worker watches, and is watched by: a beat costs the same however many workers there are.
WATCHED = 32


@dataclass(frozen=True, slots=True)
class Beat:
    """The counter of one incarnation, as read."""

    incarnation: bytes
    count: int
    state: str


@dataclass(frozen=True, slots=True)
class Charge:
    """A message that is charged with the end of a child, or that ends by it.

    Attributes:
        task_id: Its id.
        token: Of the claim under which it ran.
        outcome: Signed outcome if the message ends by that, else empty: then it is charged with a crash.
        letter: Of the state in which it ends. Only a dead letter is charged with the crash that made it one.
    """

    task_id: bytes = b""
    token: bytes = b""
    outcome: bytes = b""
    letter: bytes = b"D"


@dataclass(frozen=True, slots=True)
class Serves:
    """What a worker can run.

    Attributes:
        build: As a hash.
        queues: From which it claims. Both are read each time anew.
        tasks: Names of those that it knows.
    """

    build: str
    queues: Collection[str] = ()
    tasks: Collection[str] = ()


def register(session: Session, incarnation: bytes, info: bytes, *, patience_s: float = 10.0) -> Steps[None]:
    """Make an incarnation known; it is alive from now on."""
    yield from ask(session, WORKER, b"register", incarnation, info, patience_s=patience_s)


def tell(session: Session, incarnation: bytes, info: bytes, *, patience_s: float = 2.0) -> Steps[bool]:
    """Change what an incarnation tells of itself, unless it does not live any more; tell whether it does."""
    reply = yield from ask(session, WORKER, b"tell", incarnation, info, patience_s=patience_s)
    return bool(reply)


def beat(
    session: Session,
    incarnation: bytes,
    *,
    sweep_ahead_s: int = 0,
    report: bytes = b"",
    watched: int = WATCHED,
    patience_s: float = 2.0,
) -> Steps[list[Beat]]:
    """Move this worker's counter, and read those of some others.

    Args:
        session: Where.
        incarnation: Of this worker.
        sweep_ahead_s: How much sooner than due results are removed.
        report: What it publishes of itself, signed; empty leaves what it published before.
        watched: So many that come behind this one on a ring; of fewer workers all, this one included.
        patience_s: How long to go on repeating.

    Raises:
        NodeFault: `DEADWORKER`: this worker was declared dead.
    """
    reply = yield from ask(
        session,
        WORKER,
        b"beat",
        incarnation,
        b"%d" % sweep_ahead_s,
        report,
        b"%d" % watched,
        patience_s=patience_s,
    )
    # a counter that is none stands still, and nothing else: anybody may have written there
    return [
        Beat(
            reply[i],
            int(reply[i + 1]) if reply[i + 1].isdigit() else 0,
            reply[i + 2].decode(errors="replace"),
        )
        for i in range(0, len(reply), 3)
    ]


def declare_dead(session: Session, incarnation: bytes, count: int, *, patience_s: float = 2.0) -> Steps[bool]:
    """Declare an incarnation dead, if its counter still stands where it was seen."""
    reply = yield from ask(session, WORKER, b"declare", incarnation, b"%d" % count, patience_s=patience_s)
    return bool(reply == 1)


def children(session: Session, incarnation: bytes) -> Steps[list[bytes]]:
    """Return the children of an incarnation that ever claimed."""
    reply: list[bytes] = yield from ask(session, WORKER, b"children", incarnation)
    return reply


def bury(session: Session, incarnation: bytes) -> Steps[bool]:
    """Remove an incarnation that holds nothing any more."""
    reply = yield from ask(session, WORKER, b"bury", incarnation)
    return bool(reply == 1)


def reap(
    session: Session,
    holder: bytes,
    by: bytes,
    queues: Sequence[bytes],
    charge: Charge | None = None,
    *,
    singly: bool = False,
    lost: Sequence[Charge] = (),
    dead_expires_s: int = DEAD_EXPIRES_S,
) -> Steps[int]:
    """Put everything that a dead child held back in line, and return how many those were, without what ends by that.

    Args:
        session: Where.
        holder: The dead child.
        by: The incarnation that reaps: the child's own, or any once that one is declared dead.
        queues: On which it may be registered as idle.
        charge: The message that it was running, if that is known.
        singly: Have the messages claimed one at a time from now on.
        lost: What may have begun and must not begin again, with the outcome of each.
        dead_expires_s: How long a dead letter is kept.
    """
    charge = charge or Charge()
    total: int = 0
    while True:
        count, left = yield from ask(
            session,
            REAP,
            holder,
            by,
            charge.task_id,
            charge.token,
            charge.outcome,
            b"1" if singly else b"0",
            b"%d" % dead_expires_s,
            charge.letter,
            b"%d" % len(lost),
            *[word for one in lost for word in (one.task_id, one.token, one.outcome)],
            *queues,
        )
        total += int(count)
        if not left:
            return total


def unpark(session: Session, serves: Serves, incarnation: bytes) -> Steps[int]:
    """Return messages that another build of the workers could not take to their lines.

    Args:
        session: Where.
        serves: What the worker that asks can run; anything else stays, and so does what its own build has parked.
        incarnation: Of that worker: its idle children are woken, and no others.
    """
    names = [name.encode() for name in (*serves.queues, *serves.tasks)]
    build, many = serves.build.encode(), b"%d" % len(serves.queues)
    cursor = b"0"
    total: int = 0
    while True:
        cursor, count = yield from ask(session, UNPARK, build, cursor, incarnation, many, *names)
        total += int(count)
        if cursor == b"0":
            return total
