"""What keys of messages promise: one at a time for a unique key, one after the other in a sequence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulation.mesh.checkers.records import FINAL_LETTERS
from tests.simulation.mesh.ledger import BrokenPromise

if TYPE_CHECKING:
    from tests.simulation.mesh.world import World


class Gates:
    """Judges messages with keys."""

    def __init__(self, world: World) -> None:
        self.world = world

    def is_final(self, task_id: bytes) -> bool:
        """Tell whether any server has an outcome of a message: then it may have ended."""
        return any(
            records.get(task_id, b"  ")[1:2] in FINAL_LETTERS for records in self.world.records.on.values()
        )

    def heard_accepted(self, task_id: bytes) -> None:
        """A message was accepted: those which held its unique key when it was first sent have ended."""
        plan = self.world.ledger.plans[task_id]
        for other in plan.after if plan.unique else ():
            if not self.is_final(other):
                raise BrokenPromise(f"{task_id!r} was accepted, and {other!r} has the same unique key")

    def heard_duplicate(self, task_id: bytes, first: bytes) -> None:
        """A caller was told that another message stands for its own: that one was accepted by this."""
        if first == task_id:
            raise BrokenPromise(f"{task_id!r} stands for itself")
        self.world.ledger.plans[task_id].stands = False
        self.world.ledger.heard_accepted(first)

    def began(self, task_id: bytes) -> None:
        """A run begins: what was accepted before it in its sequence has ended."""
        plan = self.world.ledger.plans[task_id]
        for other in plan.after if plan.sequence else ():
            if not self.is_final(other):
                raise BrokenPromise(f"{task_id!r} is run before {other!r}, after which it was sent")
