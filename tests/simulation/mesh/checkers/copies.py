"""I1 and I12: what was promised is held by enough servers, at the moment of the promise and for ever after."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskmesh.queue.claim import Claimed
from tests.simulation.mesh.checkers.records import FINAL_LETTERS
from tests.simulation.mesh.ledger import BrokenPromise
from tests.simulation.mesh.server import Server

if TYPE_CHECKING:
    from tests.simulation.mesh.world import World


class Copies:
    """Counts copies."""

    def __init__(self, world: World) -> None:
        self.world = world
        #: What servers held when they lost it: it counted, when it counted.
        self._gone: list[dict[bytes, bytes]] = []

    def before_loss(self, server: Server) -> None:
        """A server is about to lose its disk."""
        self._gone.append(dict(self.world.records.on[server.address]))

    def told(self, task_id: bytes, what: str) -> None:
        """I12: somebody hears a promise: it must be kept by enough servers already."""
        final = "seen" in what
        held = 0
        for records in [*self.world.records.on.values(), *self._gone]:
            record = records.get(task_id)
            held += record is not None and (not final or record[1:2] in FINAL_LETTERS)
        needed = self.world.needed(self.world.ledger.plans[task_id].slot)
        if held < needed:
            raise BrokenPromise(f"I12: {task_id!r}: {what}, and {held} servers have it, not {needed}")

    def began(self, claimed: Claimed) -> None:
        """I12: a run begins: enough servers know of its claim, or of what came after that."""
        version = claimed.token[:8]
        held = sum(
            records.get(claimed.task_id, b"")[2:10] >= version
            for records in [*self.world.records.on.values(), *self._gone]
        )
        needed = self.world.needed(self.world.ledger.plans[claimed.task_id].slot)
        if held < needed:
            raise BrokenPromise(
                f"I12: {claimed.task_id!r} is run by {claimed.token!r}, of which {held} servers know, not {needed}"
            )

    def check_led(self, server: Server, own: bytes) -> None:
        """I1: a server begins to lead slots: it has whatever was promised in them."""
        records = self.world.records.on[server.address]
        for task_id in sorted(self.world.ledger.accepted):
            slot = self.world.ledger.plans[task_id].slot
            if own[slot : slot + 1] == b"1" and task_id not in records:
                raise BrokenPromise(
                    f"I1: {task_id!r} was accepted, and {server.address}, which leads its slot now, lacks it"
                )
        for task_id, (state, _) in sorted(self.world.ledger.seen.items()):
            slot = self.world.ledger.plans[task_id].slot
            if own[slot : slot + 1] == b"1" and records.get(task_id, b"  ")[1:2] not in FINAL_LETTERS:
                raise BrokenPromise(
                    f"I5: {task_id!r} was seen as {state}, and {server.address}, which leads its slot now, "
                    "has no outcome of it"
                )

    def check_settled(self) -> None:
        """I12: after quiet time all replicas of a slot hold the same of each message."""
        for task_id, plan in self.world.ledger.plans.items():
            holders = self.world.replicas(plan.slot)
            found = [self.world.records.on[server.address].get(task_id, b"") for server in holders]
            if len(set(found)) != 1:
                shown = {server.address: each[1:52] for server, each in zip(holders, found, strict=True)}
                raise BrokenPromise(f"I12: after quiet time the copies of {task_id!r} differ: {shown}")
