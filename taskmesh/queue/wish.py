"""What was wished for a queue or a task and may not stand in its register yet: kept by the node until it does.

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
    """What is wished for a queue or a task.

    Attributes:
        value: A word without space that says it.
        operation: Of the change of its register, 24 hex digits.
    """

    value: str
    operation: str

    def packed(self) -> bytes:
        """Return it as the node keeps it."""
        return f"{self.value} {self.operation}".encode()


def note_wish(session: Session, name: str, wish: Wish, kind: bytes = b"") -> Steps[None]:
    """Have the node keep a wish; an earlier one of its kind and name counts no more.

    Raises:
        NodeUnavailable: It did not answer.
    """
    yield from _run(session, b"note", name.encode(), wish.packed(), kind)


def settle_wish(session: Session, name: str, wish: Wish, kind: bytes = b"") -> Steps[bool]:
    """Have the node forget a wish that the register follows; tell whether it was still the last one.

    Raises:
        NodeUnavailable: It did not answer.
    """
    return (yield from _run(session, b"settle", name.encode(), wish.packed(), kind)) == 1


def wishes(session: Session, kind: bytes = b"") -> Steps[dict[str, Wish]]:
    """Return the wishes of a kind that the node keeps, by name."""
    words = yield from plain(session, b"HGETALL", keys.wishes(session.prefix, kind))
    found = {}
    for at in range(0, len(words), 2):
        value, _, operation = words[at + 1].decode().partition(" ")
        found[words[at].decode()] = Wish(value, operation)
    return found


def _run(session: Session, *args: bytes) -> Steps[int]:
    (reply,) = yield [Call(WISH, session.prefix, args)]
    if isinstance(reply, (Refused, NoAnswer)):
        raise NodeUnavailable(reply.reason, node=session.prefix.decode())
    if isinstance(reply, NodeError):
        raise NodeFault(reply.text)
    return int(reply)
