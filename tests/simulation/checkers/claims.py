"""Claims: a repeat returns the same answer, a suspect is claimed alone, a recall leaves alone what has begun."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskmesh.core.record import CLAIM_SINGLY
from taskmesh.queue.claim import claimed_messages
from taskmesh.testing.simulated_network import Executed
from tests.simulation.ledger import PREFIX, Violation

if TYPE_CHECKING:
    from tests.simulation.world import World


class Claims:
    """Remembers the answer to each claim."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._answers: dict[tuple[bytes, bytes], dict[bytes, bytes]] = {}

    def came_back_older(self) -> None:
        """Forget the answers of a life that never was."""
        self._answers.clear()

    def executed(self, executed: Executed) -> None:
        """Check the answer to a claim."""
        script = executed.call.script
        if script is None or script.name != "queue.claim" or not isinstance(executed.reply, list):
            return
        holder, sequence, most = executed.call.args[2:5]
        worker = self.world.node.call((b"HGET", PREFIX + b"w:" + holder[:16], b"state"))
        if worker != b"live":
            raise Violation(f"claim {sequence!r} of {holder!r} is served, and its worker is {worker!r}")
        if int(most) == 0:
            self._signed_off(holder)
        claimed = claimed_messages(executed.reply)
        answer = {message.task_id: message.token for message in claimed}
        if len(answer) != len(claimed):
            raise Violation(f"claim {sequence!r} of {holder!r} returns a message twice")
        for task_id, token in answer.items():
            record = self.world.record(task_id)
            if record is None or record[1:2] != b"T" or record[2:52] != token:
                raise Violation(
                    f"claim {sequence!r} of {holder!r} returns {task_id!r}, which it does not hold"
                )
        first = self._answers.get((holder, sequence))
        if first is None:
            self._first(holder, sequence, int(most), answer)
            return
        for task_id, token in answer.items():
            if first.get(task_id) != token:
                raise Violation(f"a repeat of claim {sequence!r} of {holder!r} took {task_id!r} as well")
        for task_id, token in first.items():
            record = self.world.record(task_id)
            if record is not None and record[1:52] == b"T" + token and task_id not in answer:
                raise Violation(f"a repeat of claim {sequence!r} of {holder!r} does not return {task_id!r}")

    def _signed_off(self, holder: bytes) -> None:
        for queue in self.world.queues:
            for idle in (b"idle:", b"tidle:"):
                if self.world.node.call((b"ZSCORE", PREFIX + idle + queue, holder)) is not None:
                    raise Violation(f"{holder!r} has signed off and is idle on {queue!r} all the same")

    def check_recalled(self, task_id: bytes, holder: bytes, sequence: bytes, position: int) -> None:
        """Check that a message which is taken back stood behind the position up to which its claim is kept."""
        answer = self._answers.get((holder, sequence))
        if answer is not None and task_id in list(answer)[:position]:
            raise Violation(
                f"{task_id!r} is taken back, though it stood within the first {position} of its claim"
            )

    def _first(self, holder: bytes, sequence: bytes, most: int, answer: dict[bytes, bytes]) -> None:
        self._answers[holder, sequence] = answer
        # who signs off asks for none, and may have been handed one
        if len(answer) > max(1, most):
            raise Violation(
                f"claim {sequence!r} of {holder!r} took {len(answer)} messages, not {most} at most"
            )
        suspects = [
            task_id
            for task_id in answer
            if int((self.world.record(task_id) or b"")[61:62], 16) & CLAIM_SINGLY
        ]
        if suspects and len(answer) > 1:
            raise Violation(
                f"{suspects[0]!r} is to be claimed alone, and was claimed with {len(answer) - 1} others"
            )
