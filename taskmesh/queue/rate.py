"""Rate limits: may a message of a task start now, or when?"""

from __future__ import annotations

from hashlib import blake2b

from taskmesh.core.rate import Rate
from taskmesh.core.script import load_script
from taskmesh.core.steps import Session, Steps
from taskmesh.replication.ask import ask

RATE = load_script("taskmesh.queue", "rate")


def ask_start(
    session: Session, task: str, rate: Rate, task_id: str, *, patience_s: float = 10.0
) -> Steps[tuple[bool, float]]:
    """Ask to start a message of a limited task, and return whether it may, and for which moment (ms).

    If it may not, that moment is reserved for it: it asks again then. A repeat of a call without an answer may cost a
    start that nobody uses.

    Args:
        session: Where.
        task: Name of the task; all its messages share the limit.
        rate: The limit.
        task_id: The message.
        patience_s: How long to go on repeating.
    """
    granted, moment_us = yield from ask(
        session,
        RATE,
        blake2b(task.encode(), digest_size=16).hexdigest().encode(),
        b"%d" % rate.interval_us,
        b"%d" % rate.grace_us,
        task_id.encode(),
        patience_s=patience_s,
    )
    return granted == 1, int(moment_us) / 1000
