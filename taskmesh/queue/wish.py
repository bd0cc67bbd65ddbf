"""What was wished for a queue and may not stand in its register yet: kept by the node until it does.

So a wish holds at once, and also where the acceptors have no majority: whoever brings node and registers in line
makes the register follow the wish, and not the other way round.
"""

from __future__ import annotations

from typing import NamedTuple

from taskmesh.core import keys
from taskmesh.core.script import load_script
from taskmesh.core.steps import Call, NoAnswer, NodeError, Refused, Session, Steps
from taskmesh.errors import NodeFault, NodeUnavailable
from taskmesh.replication.ask import plain

WISH = load_script("taskmesh.queue", "wish")


class Wish(NamedTuple):
    """What is wished for a queue.

    Attributes:
        paused: Whether it is to be paused.
        operation: Of the change of its register, 24 hex digits.
    """

    paused: bool
    operation: str

    def packed(self) -> bytes:
        """Return it as the node keeps it."""
        return f"{'paused' if self.paused else 'going'} {self.operation}".encode()


def note_wish(session: Session, queue: str, wish: Wish) -> Steps[None]:
    """Have the node keep a wish; an earlier one for the queue counts no more.

    Raises:
        NodeUnavailable: It did not answer.
    """
    yield from _run(session, b"note", queue.encode(), wish.packed())


def settle_wish(session: Session, queue: str, wish: Wish) -> Steps[bool]:
    """Have the node forget a wish that the register follows; tell whether it was still the last one.

    Raises:
        NodeUnavailable: It did not answer.
    """
    return (yield from _run(session, b"settle", queue.encode(), wish.packed())) == 1


def wishes(session: Session) -> Steps[dict[str, Wish]]:
    """Return the wishes that the node keeps, by queue."""
    words = yield from plain(session, b"HGETALL", keys.wishes(session.prefix))
    found = {}
    for at in range(0, len(words), 2):
        what, _, operation = words[at + 1].decode().partition(" ")
        found[words[at].decode()] = Wish(what == "paused", operation)
    return found


def _run(session: Session, *args: bytes) -> Steps[int]:
    (reply,) = yield [Call(WISH, session.prefix, args)]
    if isinstance(reply, (Refused, NoAnswer)):
        raise NodeUnavailable(reply.reason, node=session.prefix.decode())
    if isinstance(reply, NodeError):
        raise NodeFault(reply.text)
    return int(reply)
