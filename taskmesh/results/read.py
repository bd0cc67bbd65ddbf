"""Read outcomes by id."""

from __future__ import annotations

from collections.abc import Sequence

from taskmesh.core.record import Record, parse
from taskmesh.core.script import load_script
from taskmesh.core.steps import NoAnswer, NodeError, Pause, Refused, Session, Steps
from taskmesh.errors import InvariantBroken, Malformed, NodeUnavailable
from taskmesh.replication.ask import RETRY_DELAY_S_MAX, RETRY_DELAY_S_MIN, answer, ask
from taskmesh.replication.routed import FAILURES, Parts
from taskmesh.results.large import lacks_outcome, read_outcome

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

    Raises:
        NodeUnavailable: Of some ids the node did not answer.
    """
    found: list[Record | Malformed | None] = []
    for at in range(0, len(ids), READ_MAX):
        for each in (yield from _read(session, ids[at : at + READ_MAX], patience_s, once=False)):
            if isinstance(each, NodeUnavailable):
                raise each
            found.append(each)
    return found


def read_some(
    session: Session, ids: Sequence[str], *, patience_s: float = 10.0
) -> Steps[list[Record | Malformed | NodeUnavailable | None]]:
    """As `read`, but of several nodes those that answer are enough.

    Returns:
        As `read`; for each id whose node does not answer now, why.

    Raises:
        NodeUnavailable: No node answered.
    """
    found: list[Record | Malformed | NodeUnavailable | None] = []
    for at in range(0, len(ids), READ_MAX):
        some = ids[at : at + READ_MAX]
        try:
            found += yield from _read(session, some, patience_s, once=True)
        except NodeUnavailable as error:
            if not found:
                raise
            return found + [error] * (len(ids) - at)
    return found


def _read(
    session: Session, ids: Sequence[str], patience_s: float, *, once: bool
) -> Steps[list[Record | Malformed | NodeUnavailable | None]]:
    """Read what fits into one call; `once`: ask no node again that does not answer while others do."""
    names = [task_id.encode() for task_id in ids]
    found: dict[int, Record | Malformed | NodeUnavailable | None] = {}
    left = list(range(len(names)))
    give_up_ms, delay_s = session.now_ms() + int(patience_s * 1000), RETRY_DELAY_S_MIN
    while True:
        left_s = max(0.0, (give_up_ms - session.now_ms()) / 1000)
        reply = yield from ask(session, READ, *(names[at] for at in left), patience_s=left_s)
        away: list[int] = []
        for places, part in reply.parts if isinstance(reply, Parts) else [(range(len(left)), reply)]:
            some = [left[place] for place in places]
            if isinstance(part, FAILURES):
                found.update(dict.fromkeys(some, _failure(session, part)))
                away += some
                continue
            for at, raw in zip(some, part, strict=True):
                found[at] = yield from _completed(session, names[at], raw)
                if isinstance(found[at], NodeUnavailable):
                    away.append(at)
        if not away or once or session.now_ms() >= give_up_ms:
            return [found[at] for at in range(len(names))]
        yield Pause(delay_s)
        delay_s, left = min(delay_s * 2, RETRY_DELAY_S_MAX), away


def _completed(
    session: Session, task_id: bytes, raw: bytes | None
) -> Steps[Record | Malformed | NodeUnavailable | None]:
    """Return the record; its outcome is read by itself where that is too large to be told with others."""
    if raw is None:
        return None
    if lacks_outcome(raw):
        try:
            raw = yield from read_outcome(session, task_id, raw)
        except NodeUnavailable as error:
            return error
        if raw is None:
            return NodeUnavailable(
                f"the record of {task_id.decode()} changed while its outcome was read",
                node=session.prefix.decode(),
                may_be_done=False,
            )
    return _parsed(task_id, raw)


def _failure(session: Session, reply: Refused | NoAnswer | NodeError) -> NodeUnavailable:
    """Return why some of several nodes told nothing.

    Raises:
        NodeFault: Asking again does not mend it.
    """
    try:
        answer(session, READ.name, reply)
    except NodeUnavailable as error:
        return error
    raise InvariantBroken(f"{READ.name}: {reply!r} is no failure")


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
