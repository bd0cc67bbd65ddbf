"""How many records a node of a mesh of several has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from taskmesh.core.script import load_script
from taskmesh.core.steps import Call, Session, Steps
from taskmesh.replication.ask import look

HOLDING = load_script("taskmesh.replication", "holding")
#: Slots that are counted in one step: some milliseconds of the node.
SLOTS_AT_ONCE = 2048


class Holding(NamedTuple):
    """How many records there are.

    Attributes:
        live: Of messages that are not final.
        final: Of those that are, and are not forgotten.
    """

    live: int
    final: int


def read_holding(session: Session, slots: Sequence[int]) -> Steps[Holding]:
    """Count the records that a node has of some slots; to be run at that node.

    Raises:
        NodeUnavailable, NodeFault: It does not answer.
    """
    live = final = 0
    for begin in range(0, len(slots), SLOTS_AT_ONCE):
        words = tuple(b"%04x" % slot for slot in slots[begin : begin + SLOTS_AT_ONCE])
        more = yield from look(session, Call(HOLDING, session.prefix, words))
        live, final = live + more[0], final + more[1]
    return Holding(live, final)
