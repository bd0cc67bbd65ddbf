"""Rate limits: may a message of a task start now, or when? And which wait for that?"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from math import ceil
from typing import NamedTuple

from taskmesh.core import keys
from taskmesh.core.rate import Rate
from taskmesh.core.script import load_script
from taskmesh.core.steps import Call, Session, Steps
from taskmesh.replication.ask import answer, ask

RATE = load_script("taskmesh.queue", "rate")
STARTS = load_script("taskmesh.queue", "starts")
HASTEN = load_script("taskmesh.queue", "hasten")
#: The letter of a message whose child has not said yet that it waits.
_RUNS = ord("T")
#: Messages that are told in one call of the script, which takes the node about a millisecond.
HASTENED_AT_ONCE = 200
#: The steps of having messages come back.
BEGIN, GO_ON, END = b"begin", b"go on", b"end"


class Start(NamedTuple):
    """What the node says of a start.

    Attributes:
        granted: Whether the message may start.
        moment_ms: For which moment that is granted, or reserved.
        latest_ms: Until when it may start.
    """

    granted: bool
    moment_ms: float
    latest_ms: float


def ask_start(
    session: Session, task: str, rate: Rate | None, task_id: str, *, patience_s: float = 10.0
) -> Steps[Start]:
    """Ask to start a message of a limited task.

    If it may not, a moment is reserved for it: it asks again then. A repeat of a call without an answer may cost a
    start that nobody uses.

    Args:
        session: Where.
        task: Name of the task; all its messages share the limit.
        rate: The limit that the code says, None for none; what an operator has set holds instead.
        task_id: The message.
        patience_s: How long to go on repeating.
    """
    reply = yield from ask(
        session,
        RATE,
        _digest(task),
        b"%d" % (0 if rate is None else rate.interval_us),
        b"%d" % (0 if rate is None else rate.grace_us),
        task_id.encode(),
        task.encode(),
        patience_s=patience_s,
    )
    if reply[0] == 2:
        return Start(granted=True, moment_ms=0.0, latest_ms=float("inf"))
    granted, moment_us, grace_us = reply
    return Start(granted == 1, int(moment_us) / 1000, (int(moment_us) + grace_us) / 1000)


def hasten(session: Session, task: str, step: bytes, *, patience_s: float = 10.0) -> Steps[int]:
    """Have messages that wait for a start come back now, since another limit holds.

    Args:
        session: Where.
        task: Name of the task.
        step: `BEGIN` is the first call after the change: all that wait now are meant. `END` is the last: those that
            still wait come back at their moments. `GO_ON` is one in between.
        patience_s: How long to go on repeating.

    Returns:
        How many still wait of those that are meant: more than fit into one call, or on their way into the delayed
        index.
    """
    # who waits is known where the limit is kept; the messages themselves may live elsewhere
    most = b"%d" % HASTENED_AT_ONCE
    left, *ids = yield from ask(session, STARTS, _digest(task), most, step, patience_s=patience_s)
    if ids:
        verdicts: bytes = yield from ask(session, HASTEN, *ids, patience_s=patience_s)
        told = [task_id for task_id, verdict in zip(ids, verdicts, strict=True) if verdict != _RUNS]
        if told:
            left, *_ = yield from ask(
                session, STARTS, _digest(task), b"0", GO_ON, *told, patience_s=patience_s
            )
    return int(left)


def held_back(session: Session, waiting: Sequence[tuple[str, str, int]]) -> Steps[set[str]]:
    """Return which messages wait for a start that the rate limit of their task allows; it changes nothing.

    Args:
        session: Where.
        waiting: Of each its id, its task and when it is due (ms): one is held back if that is what was reserved for it.
    """
    by_task: dict[str, list[tuple[str, int]]] = {}
    for task_id, task, due_ms in waiting:
        by_task.setdefault(task, []).append((task_id, due_ms))
    calls = [
        Call(
            None,
            session.prefix,
            (
                b"ZMSCORE",
                keys.waiting_starts(session.prefix, _digest(task)),
                *(task_id.encode() for task_id, _ in some),
            ),
        )
        for task, some in by_task.items()
    ]
    found: set[str] = set()
    if not calls:
        return found
    replies = yield calls
    for some, reply in zip(by_task.values(), replies, strict=True):
        for (task_id, due_ms), moment_us in zip(some, answer(session, "ZMSCORE", reply), strict=True):
            # in milliseconds as who could not start it rounded them
            if moment_us is not None and ceil(float(moment_us) / 1000) == due_ms:
                found.add(task_id)
    return found


def _digest(task: str) -> bytes:
    return blake2b(task.encode(), digest_size=16).hexdigest().encode()
