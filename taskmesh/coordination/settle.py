"""Which firings the node must not forget: those of which no cursor says yet that they were sent.

A leader that is lost between a message and its cursor leaves firings that the next one sends again, to no effect as
long as the node knows their ids. It forgets an id ten minutes after its message has ended. So it is told up to which
moment cursors are written, and keeps the ids of later firings for as long as it takes, with or without a leader.
"""

from __future__ import annotations

from datetime import UTC, datetime

from taskmesh.coordination.install import STALE, stale
from taskmesh.core.record import REMEMBER_S
from taskmesh.core.script import load_script
from taskmesh.core.steps import Session, Steps
from taskmesh.errors import NodeFault
from taskmesh.replication.ask import ask

SETTLE = load_script("taskmesh.coordination", "settle", fenced=True)


def settled_ms(now_ms: int, waiting_ms: list[int]) -> int:
    """Return up to when the node may be told that everything is settled, all cursors being written.

    It remembers what is younger than that anyway; so a schedule that was made or changed a moment ago is safe as well.

    Args:
        now_ms: Up to when cursors are written.
        waiting_ms: Nominal moments of firings that wait for the message before them.
    """
    return min(now_ms - REMEMBER_S * 1000, *(each - 1 for each in waiting_ms), now_ms)


def settle(session: Session, token: int, moment_ms: int, *, patience_s: float = 2.0) -> Steps[None]:
    """Have the node know that all firings up to a moment are in cursors.

    Raises:
        LeadershipLost: It knows a newer leader.
        NodeUnavailable: It does not answer.
    """
    moment = datetime.fromtimestamp(max(0, moment_ms) // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    try:
        yield from ask(session, SETTLE, b"%d" % token, moment.encode(), patience_s=patience_s)
    except NodeFault as error:
        if STALE not in str(error):
            raise
        raise stale(token) from error
