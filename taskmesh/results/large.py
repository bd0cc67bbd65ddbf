"""Outcomes that are too large to be read at once, on a mesh of several nodes: so that no step of a node takes long."""

from __future__ import annotations

from taskmesh.core.record import HEAD_LENGTH
from taskmesh.core.script import load_script
from taskmesh.core.steps import Session, Steps
from taskmesh.replication.ask import look

PIECE = load_script("taskmesh.results", "piece")
#: How long a piece may take, also when the caller's own time is over: what flows is not broken off, to be begun anew.
PIECE_S = 1.0
#: Of a head: state and version, and how many bytes the outcome has.
_WHAT, _LENGTH = slice(1, 10), slice(94, 102)


def lacks_outcome(raw: bytes) -> bool:
    """Tell whether this is a record of whose outcome the node told only how large it is."""
    try:
        names = sum(int(raw[at : at + 2], 16) for at in (102, 104, 106))
        return len(raw) == HEAD_LENGTH + names and int(raw[_LENGTH], 16) > 0
    except ValueError:
        # no record; whoever takes it apart says so
        return False


def read_outcome(session: Session, task_id: bytes, raw: bytes) -> Steps[bytes | None]:
    """Read what is missing, piece by piece.

    Args:
        session: Where.
        task_id: Of which message.
        raw: Head and names of its record.

    Returns:
        The record with its outcome; None if it has changed meanwhile.

    Raises:
        NodeUnavailable: A piece was not told.
    """
    # loaded by whoever copies; with one node by nobody
    from taskmesh.replication import pieces

    found, at = [raw], len(raw)
    end = at + int(raw[_LENGTH], 16)
    while at < end:
        most = min(pieces.PIECE_BYTES, end - at)
        call = session.call(PIECE, task_id, b"%d" % at, b"%d" % most)
        call.patience_s = PIECE_S
        head, piece = yield from look(session, call)
        if head[_WHAT] != raw[_WHAT] or head[_LENGTH] != raw[_LENGTH] or not piece:
            return None
        found.append(piece)
        at += len(piece)
    return b"".join(found)
