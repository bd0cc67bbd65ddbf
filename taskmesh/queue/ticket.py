"""Tickets: what a worker does on a node when a broker tells it that a queue may have work.

A broker says only which queue. Which message that is, and whether there is one, the node knows; so a ticket may be
lost, late, or come twice.
"""

from __future__ import annotations

from typing import NamedTuple

from taskmesh.core.script import load_script
from taskmesh.core.steps import Session, Steps
from taskmesh.replication.ask import ask

TICKET = load_script("taskmesh.queue", "ticket")
#: So many children are woken in one step at most.
GIVEN_MAX = 64


class Given(NamedTuple):
    """What one step gave.

    Attributes:
        woken: How many children were given something.
        is_left: Whether more is ready: no child of the worker is idle, or so many were woken as were asked for.
        is_busy: Whether that is because none is idle.
    """

    woken: int
    is_left: bool
    is_busy: bool


def give(
    session: Session, incarnation: bytes, queue: str, most: int = GIVEN_MAX, *, patience_s: float = 2.0
) -> Steps[Given]:
    """Give what is ready in a queue to idle children of a worker: one message each, with the wake-up.

    Args:
        session: Of one node.
        incarnation: Of the worker, whose children have numbers with `keys.BY_TICKET`.
        queue: Which.
        most: To how many children.
        patience_s: How long to go on asking. A repeat may give more than that, which does no harm.

    Raises:
        NodeUnavailable: No answer; something may have been given.
    """
    woken, left = yield from ask(
        session, TICKET, incarnation, queue.encode(), b"%d" % min(most, GIVEN_MAX), patience_s=patience_s
    )
    return Given(int(woken), left != b"n", left == b"b")
