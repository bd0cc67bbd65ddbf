"""Which keys a mesh accepts: their ids stand in its meta hash, where everyone who joins is checked."""

from __future__ import annotations

from taskmesh.core.script import load_script
from taskmesh.core.steps import Session, Steps
from taskmesh.replication.ask import ask

ACCEPT = load_script("taskmesh.replication", "accept")


def accept_key(session: Session, key_id: str, *, by: str, patience_s: float = 10.0) -> Steps[tuple[str, ...]]:
    """Have the mesh accept a further key, and return the ids of all that it accepts.

    Args:
        session: Where.
        key_id: Of the new key.
        by: Id of an accepted key that the caller holds.
        patience_s: How long to go on asking.

    Raises:
        NodeFault: `NOTACCEPTED`: the caller's own key is not accepted.
    """
    reply = yield from ask(session, ACCEPT, b"add", key_id.encode(), by.encode(), patience_s=patience_s)
    return tuple(reply.decode().split(","))


def refuse_key(session: Session, key_id: str, *, by: str, patience_s: float = 10.0) -> Steps[tuple[str, ...]]:
    """Have the mesh refuse a key from now on, and return the ids of those that it still accepts.

    Arguments and errors as `accept_key`; also `OWNKEY`: nobody can shut himself out.
    """
    reply = yield from ask(session, ACCEPT, b"remove", key_id.encode(), by.encode(), patience_s=patience_s)
    return tuple(reply.decode().split(","))
