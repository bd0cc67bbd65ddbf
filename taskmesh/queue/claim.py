"""Claim: take ready messages for one child; the record's token is the lease."""

from __future__ import annotations

from collections.abc import Sequence

from taskmesh.core import keys
from taskmesh.core.script import load_script
from taskmesh.core.steps import Call, Session, Steps
from taskmesh.core.version_order import after
from taskmesh.replication.ask import ask, plain

CLAIM = load_script("taskmesh.queue", "claim")
RECALL = load_script("taskmesh.queue", "recall")
HELD = load_script("taskmesh.queue", "held")
EPOCH_LENGTH = 12


def claim_call(
    session: Session,
    holder: bytes,
    sequence: int,
    most: int,
    queues: Sequence[bytes],
    *,
    idle: bool,
    look: bool = False,
) -> Call:
    """Return the call that claims, to be sent together with others.

    Args:
        session: Where.
        holder: Incarnation (16) and child (6).
        sequence: Grows by one with each answered claim of this child; a repeat carries the same.
        most: How many messages at most.
        queues: In the order in which they are looked at.
        idle: The child's last claim found nothing, so it is registered as idle.
        look: Do not register it if nothing is found: it is about to ask another node.
    """
    registered = b"1" if idle else b"l" if look else b"0"
    return session.call(CLAIM, holder, b"%08x" % sequence, b"%d" % most, registered, *queues)


def claim(
    session: Session,
    holder: bytes,
    sequence: int,
    most: int,
    queues: Sequence[bytes],
    *,
    idle: bool,
    patience_s: float = 10.0,
) -> Steps[Claims]:
    """Claim messages.

    Returns:
        What was claimed. Empty when there is nothing: the child is then registered as idle, and `keys.wake` is
        the list on which it is woken.

    Raises:
        NodeFault: `DEADWORKER` when the incarnation was declared dead, `OLDSEQUENCE` for a late duplicate.
        NodeUnavailable: No answer; claim again with the same sequence.
    """
    reply = yield from ask(
        session,
        CLAIM,
        holder,
        b"%08x" % sequence,
        b"%d" % most,
        b"1" if idle else b"0",
        *queues,
        patience_s=patience_s,
    )
    return claimed_messages(reply)


def recall(
    session: Session, holder: bytes, sequence: int, position: int, *, patience_s: float = 10.0
) -> Steps[int]:
    """Put what waits behind a position of one claim back in line, and return how many those were.

    Position counts from 1; 0 puts the whole claim back. Nothing is charged to the messages.
    """
    reply = yield from ask(
        session, RECALL, holder, b"%08x" % sequence, b"%d" % position, patience_s=patience_s
    )
    return int(reply)


#: What was claimed on another node, and is kept here since, has a sequence from here on.
ELSEWHERE = 1 << 32


def sequence_of(field: bytes) -> int:
    """Return the sequence of a claim in the running index: its own, or one from `ELSEWHERE` on, made with its slot."""
    if field[:1] != b"~":
        return int(field, 16)
    return ELSEWHERE * (1 + int(field[1:5], 16)) + int(field[5:], 16)


def held(
    session: Session, holder: bytes, *, patience_s: float = 10.0
) -> Steps[list[tuple[int, int, str, bytes]]]:
    """List what a child holds: (sequence as `sequence_of` has it, position from 1, id, head of the record)."""
    reply = yield from ask(session, HELD, holder, patience_s=patience_s)
    return [
        (sequence_of(reply[i]), int(reply[i + 1]), reply[i + 2].decode(), reply[i + 3])
        for i in range(0, len(reply), 4)
    ]


class Claimed:
    """One claimed message.

    Attributes:
        task_id: Its id.
        token: What a commit must show: the version after the claim, and the lease.
        record: The record as it stood before the claim.
    """

    __slots__ = ("record", "task_id", "token")

    def __init__(self, task_id: bytes, token: bytes, record: bytes) -> None:
        self.task_id = task_id
        self.token = token
        self.record = record

    @property
    def epoch(self) -> bytes:
        """The epoch under which it was claimed."""
        return self.token[8:20]


def handed_off(wake_up: bytes) -> tuple[int, Claimed] | None:
    """Return what a wake-up carries: the sequence that it stands for and the message; None if it only wakes."""
    if wake_up[:1] != b"h":
        return None
    lease = wake_up[1:43]
    hint, _, record = wake_up[43:].partition(b"\n")
    sequence = _number(lease[-8:])
    return sequence, Claimed(hint[:-9], after(hint[-8:], lease[:EPOCH_LENGTH]) + lease, record)


def handed_over(wake_up: bytes, sequence: int, epoch: bytes) -> Claimed | None:
    """Return the message that a wake-up brings; None if it only wakes, and the next claim tells what there is.

    Args:
        wake_up: What came.
        sequence: Of the child's last answered claim there.
        epoch: That the child knows. In another view the message may be in other hands by now; and what was brought
            under an earlier sequence came with a claim.
    """
    found = handed_off(wake_up)
    if found is None or found[0] != sequence + 1 or found[1].epoch != epoch:
        return None
    return found[1]


def unheard(session: Session, holder: bytes) -> Steps[set[str]]:
    """Return the ids that were handed to a child which is dead, and which it never heard of."""
    wake_ups = yield from plain(session, b"LRANGE", keys.wake(session.prefix, holder), b"0", b"-1")
    handed = (handed_off(wake_up) for wake_up in wake_ups)
    ids = {found[1].task_id for found in handed if found is not None}
    if session.epoch[:1] == b"f":
        # nor of what it was about to be handed
        worker = keys.worker(session.prefix, holder[:16])
        sequence = yield from plain(session, b"HGET", worker, b"h" + holder[16:])
        about = sequence and (yield from plain(session, b"HGET", keys.run(session.prefix, holder), sequence))
        ids |= {about} if about else set()
    return {task_id.decode(errors="backslashreplace") for task_id in ids}


class Claims(list[Claimed]):
    """What one claim found.

    Attributes:
        next_due_ms: When nothing was found: when the next delayed message is due, on the node's clock; 0 for none.
    """

    next_due_ms: int = 0


def claimed_messages(reply: list[bytes]) -> Claims:
    """Return the messages in the answer to a claim."""
    found = Claims()
    if len(reply) < 2:
        if reply and reply[0].isdigit():
            found.next_due_ms = int(reply[0])
        return found
    lease = reply[0]
    tokens: dict[bytes, bytes] = {}
    for at in range(1, len(reply), 2):
        hint = reply[at]
        version = hint[-8:]
        token = tokens.get(version)
        if token is None:
            token = tokens[version] = after(version, lease[:EPOCH_LENGTH]) + lease
        found.append(Claimed(hint[:-9], token, reply[at + 1]))
    return found


def _number(digits: bytes) -> int:
    """Return a number as the scripts do: 0 for what is none, for anybody may have written there."""
    try:
        return int(digits, 16)
    except ValueError:
        return 0
