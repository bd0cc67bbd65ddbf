"""Runs: no message is run by two live children at once unless the first had lost its lease."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskmesh.queue.claim import Claimed
from tests.simulation.ledger import Violation

if TYPE_CHECKING:
    from tests.simulation.child import Child
    from tests.simulation.world import World

#: What may take a message from a child that still runs it.
LEASE_LOST = {"queue.reap", "older disk"}


class Runs:
    """Knows which child runs what."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._running: dict[bytes, dict[Child, str]] = {}
        self._begun: dict[bytes, list[str]] = {}

    def began(self, child: Child, claimed: Claimed) -> None:
        """Check that a child may begin a message."""
        token = claimed.token.decode()
        running = self._running.setdefault(claimed.task_id, {})
        record = self.world.record(claimed.task_id)
        if record is None or record[1:52] != b"T" + claimed.token:
            # it lost its lease without knowing; whoever else runs it may hold it
            self._check_lost(claimed.task_id, token, f"{child.process.name} begins it")
        else:
            for other, its_token in running.items():
                if other is not child and other.process.alive:
                    self._check_lost(claimed.task_id, its_token, f"{other.process.name} runs it")
        running[child] = token
        begun = self._begun.setdefault(claimed.task_id, [])
        begun.append(token)
        # what an older disk makes of a run, nobody promises
        if self.world.ledger.plans[claimed.task_id].once and len(begun) > 1 and not self.world.moves.lives:
            raise Violation(f"{claimed.task_id!r} may begin only once, and begins by the claims {begun}")

    def has_begun(self, task_id: bytes, token: str) -> bool:
        """Tell whether a message has begun by a claim."""
        return token in self._begun.get(task_id, ())

    def ended(self, child: Child, claimed: Claimed) -> None:
        """Note that a child has run a message to its end."""
        self._running[claimed.task_id].pop(child, None)

    def dies(self, child: Child) -> None:
        """Note that a child is being killed: what it runs, or holds alone, may be charged with that."""
        for running in self._running.values():
            running.pop(child, None)
        claimed = child.noted()
        if claimed is not None:
            self.world.ledger.plans[claimed.task_id].blamable += 1

    def is_ended(self, child: Child, run: tuple[int, int]) -> None:
        """Check that a child which is killed on purpose runs nothing else; nobody may be charged with that."""
        if child.is_elsewhere(run):
            raise Violation(f"{child.process.name} is ended for {run}, and runs {child.note[:2]}")
        for running in self._running.values():
            running.pop(child, None)

    def function_is_missing(self, claimed: Claimed, function: bytes) -> None:
        """Note that a child found no function for a message that it claimed."""
        record = self.world.record(claimed.task_id)
        if record is not None and record[1:52] == b"T" + claimed.token:
            raise Violation(f"{claimed.task_id!r} is held and its function {function!r} is not on the node")

    def _check_lost(self, task_id: bytes, token: str, what: str) -> None:
        by = self.world.moves.ended_by.get((task_id, token))
        if by not in LEASE_LOST:
            raise Violation(f"{what}, {task_id!r}, by the claim {token}, which was ended by {by or 'nobody'}")
