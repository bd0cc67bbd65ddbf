"""Commit: end runs, only with the token of their claim."""

from __future__ import annotations

from collections.abc import Sequence

from taskmesh.core.script import load_script
from taskmesh.core.steps import Call, Session, Steps
from taskmesh.replication.ask import ask

COMMIT = load_script("taskmesh.queue", "commit")
#: Messages in one call; Lua's stack takes some 8,000 values.
COMMIT_MAX = 500

#: How long a dead letter is kept, unless the caller says otherwise.
DEAD_EXPIRES_S = 7 * 86_400

DONE, REPEATED, REFUSED = ord("o"), ord("r"), ord("z")
#: In place of the epoch of a claim that is done with: the node lets go of it only if nothing of it is held.
NO_EPOCH = b""


#: Letters of an entry that say a state and how the message comes to it: the end of its line, or the delayed index.
REQUEUED, SNOOZED = b"Q", b"Z"
#: The letter of one that goes back to where it was claimed from, as if it had not been.
RELEASED = b"P"


#: The last moment that a record is given: it has 12 hex digits for it. That is in 6429.
MOMENT_MS_MAX = 2**47


def retried(
    due_ms: int, history: bytes, envelope: bytes = b"", *, queue: str = "", priority: int | None = None
) -> bytes:
    """Return what stands in place of an outcome for a message that is tried again.

    Args:
        due_ms: When it may run again; whatever is said, what is written fits the record.
        history: Its attempts so far, signed.
        envelope: A new envelope, signed; empty to keep the old one.
        queue: Where it waits from now on, and its envelope says so; empty to keep it where it is.
        priority: From now on; None for that of before.
    """
    line = b"%b%02x%b" % (b"-" if priority is None else b"%d" % priority, len(queue), queue.encode())
    moment_ms = min(max(due_ms, 0), MOMENT_MS_MAX)
    return b"%012x%08x%b%b%b" % (moment_ms, len(history), line, history, envelope)


def commit_args(
    holder: bytes,
    build: bytes,
    done: Sequence[tuple[int, bytes]],
    entries: Sequence[bytes],
    dead_expires_s: int,
) -> tuple[bytes, ...]:
    """Return the script's arguments after epoch and time.

    Args:
        holder: Incarnation and child.
        build: What the worker can run, noted with messages that it parks.
        done: Claims of which nothing is held any more once this is executed: sequence, and epoch of the tokens
            or `NO_EPOCH`.
        entries: Flat: id, token, letter of the new state, outcome or what the letter wants in its place.
        dead_expires_s: How long dead letters are kept.
    """
    return (
        holder,
        build,
        b"%d" % dead_expires_s,
        b"%d" % len(done),
        *[word for sequence, epoch in done for word in (b"%08x" % sequence, epoch)],
        *entries,
    )


def commit_call(
    session: Session,
    holder: bytes,
    build: bytes,
    done: Sequence[tuple[int, bytes]],
    entries: Sequence[bytes],
    dead_expires_s: int = DEAD_EXPIRES_S,
) -> Call:
    """Return the call that commits, to be sent together with others."""
    return session.call(COMMIT, *commit_args(holder, build, done, entries, dead_expires_s))


def commit(
    session: Session,
    holder: bytes,
    build: bytes,
    done: Sequence[tuple[int, bytes]],
    entries: Sequence[bytes],
    *,
    dead_expires_s: int = DEAD_EXPIRES_S,
    patience_s: float = 10.0,
) -> Steps[bytes]:
    """Commit outcomes and releases.

    Returns:
        A verdict per entry: `DONE`, `REPEATED` (it was done before), `REFUSED` (the lease was lost).

    Raises:
        NodeUnavailable: No answer; commit again, it is idempotent.
    """
    reply: bytes = yield from ask(
        session, COMMIT, *commit_args(holder, build, done, entries, dead_expires_s), patience_s=patience_s
    )
    return reply
