"""What all who lead fire: a schedule with a few moments, each of which makes one message, whoever sends it and when.

I13: the id of a firing follows from schedule and moment, so leaders who know nothing of each other send the same one;
and once it was accepted no node takes it for a new one. Which moments are due, and what is run of those that were
missed, is the business of another simulation (`tests/simulation/schedules`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskmesh.coordination.firing import firing_id
from taskmesh.core.ids import routing_of, slot_of
from taskmesh.core.record import head_parts
from taskmesh.core.steps import Pause
from taskmesh.errors import NodeUnavailable
from taskmesh.queue.enqueue import NewMessage, Sent, enqueue
from taskmesh.testing.simulated_driver import BEGIN_MS
from tests.simulation.mesh.callers import QUEUE
from tests.simulation.mesh.ledger import PREFIX, Plan
from tests.simulation.mesh.party import Steps

if TYPE_CHECKING:
    from tests.simulation.mesh.leaders import Leader
    from tests.simulation.mesh.world import World

#: In one of so many runs something is scheduled.
FIRING_SEEDS = 10
#: How many moments there are.
MOMENTS = 2
RESULT_TTL_S = 3600
#: How a node refuses a leader when it knows a newer one.
STALE = "STALETOKEN"


class Firings:
    """The moments of one run, in virtual seconds.

    Attributes:
        left: Those of which no leader knows yet that they were accepted.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        count = MOMENTS if world.seed % FIRING_SEEDS == 1 else 0
        self.moments_s = [world.rates.long_s * at / MOMENTS for at in range(count)]
        self.left = set(self.moments_s)

    def fire(self, leader: Leader) -> Steps:
        """Fire all, one after the other, as one who has just begun to lead and knows of none that was fired."""
        for moment_s in self.moments_s:
            yield Pause(max(0.0, moment_s - self.world.network.now_s))
            while not (yield from self._send(leader, moment_s)):
                yield Pause(0.1)

    def _send(self, leader: Leader, moment_s: float) -> Steps:
        message = self._message(moment_s)
        steps = enqueue(leader.session, [message], patience_s=0.2, token=leader.token)
        try:
            sent: Sent = yield from leader.talk(steps)
        except NodeUnavailable:
            return False
        if not sent.accepted:
            if any(why.startswith(STALE) for why in (*sent.rejected.values(), *sent.unknown.values())):
                leader.overtaken = True
            return False
        self.world.ledger.heard_accepted(message.task_id)
        self.left.discard(moment_s)
        return True

    def _message(self, moment_s: float) -> NewMessage:
        """Return the message of a moment: here all send the same, while real leaders say when, and who, they are.

        So of one that never counted a copy may stay that says otherwise in this, which no version tells apart.
        """
        created_ms = BEGIN_MS + int(moment_s * 1000)
        task_id = firing_id("tick", created_ms)
        wire = task_id.encode()
        slot = slot_of(routing_of(task_id), self.world.rates.slots)
        start, middle, end, names = head_parts(
            state=b"P", queue=QUEUE, channel=b"", function=b"", priority=4, flags=0, result_ttl_s=RESULT_TTL_S
        )
        if wire not in self.world.ledger.plans:
            self.world.plan(Plan(wire, PREFIX + b"r:" + wire, slot, 0.01, b"K", 0))
        digits, times = b"%04x" % slot, b"%012x%012x" % (created_ms, 0)
        record = start + digits + middle + times + end + names + b"envelope of " + wire
        return NewMessage(wire, record, digits, QUEUE, created_ms)
