"""Read outcomes by id."""

from __future__ import annotations

from collections.abc import Sequence

from taskmesh.core.record import Record, parse
from taskmesh.core.script import load_script
from taskmesh.core.steps import Session, Steps
from taskmesh.errors import Malformed
from taskmesh.replication.ask import ask

READ = load_script("taskmesh.results", "read")
FORGET = load_script("taskmesh.results", "forget")
#: Ids in one call.
READ_MAX = 500


def read(
    session: Session, ids: Sequence[str], *, patience_s: float = 10.0
) -> Steps[list[Record | Malformed | None]]:
    """Read records without their envelopes.

    Returns:
        For each id its record; None if it is not known; the error if its record cannot be read, which is
        nobody's trouble but its own.
    """
    found: list[Record | Malformed | None] = []
    for at in range(0, len(ids), READ_MAX):
        args = [task_id.encode() for task_id in ids[at : at + READ_MAX]]
        reply = yield from ask(session, READ, *args, patience_s=patience_s)
        found += [
            _parsed(task_id, raw) if raw is not None else None
            for task_id, raw in zip(args, reply, strict=True)
        ]
    return found


def _parsed(task_id: bytes, raw: bytes) -> Record | Malformed:
    try:
        return parse(raw)
    except Malformed as error:
        return Malformed(f"the record of task {task_id.decode()} was changed by others: {error}")


def forget(session: Session, ids: Sequence[str], *, patience_s: float = 10.0) -> Steps[int]:
    """Drop outcomes, and return how many. States are remembered as long as resends must be harmless."""
    count = 0
    for at in range(0, len(ids), READ_MAX):
        args = [task_id.encode() for task_id in ids[at : at + READ_MAX]]
        reply = yield from ask(session, FORGET, *args, patience_s=patience_s)
        count += int(reply)
    return count
