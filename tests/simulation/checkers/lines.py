"""Lines: a claim takes from its queues in their order, of each the most urgent first, and leaves none out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from taskmesh.core.record import CLAIM_SINGLY, queue_of
from taskmesh.queue.backlog import BACKLOG
from taskmesh.queue.claim import CLAIM, Claimed, claimed_messages
from taskmesh.queue.enqueue import ENQUEUE
from taskmesh.queue.ticket import TICKET
from taskmesh.testing.node_commands.values import HashValue
from taskmesh.testing.simulated_network import Executed
from tests.simulation.ledger import PREFIX, Violation

if TYPE_CHECKING:
    from tests.simulation.world import World

PRIORITIES = range(9, -1, -1)


class Lines:
    """Looks at the lines after each claim."""

    def __init__(self, world: World) -> None:
        self.world = world
        # the last claim of each child, or what was handed over in the place of one
        self._last: dict[bytes, bytes] = {}

    def came_back_older(self) -> None:
        """Know the claims that the older disk knows."""
        self._last.clear()
        self._look()

    def executed(self, executed: Executed) -> None:
        """Check what a claim took, or what was counted."""
        script = executed.call.script
        if script is None:
            return
        if script.name in (ENQUEUE.name, TICKET.name):
            self._look()
        if not isinstance(executed.reply, list):
            return
        if script.name == CLAIM.name:
            holder, sequence, most = executed.call.args[2:5]
            is_first, self._last[holder] = self._last.get(holder) != sequence, sequence
            # a repeat tells of what was taken before, and who signs off takes nothing
            if is_first and most != b"0":
                self._claimed(executed, executed.reply)
        elif script.name == BACKLOG.name:
            self._counted(executed.call.args, executed.reply)

    def _claimed(self, executed: Executed, reply: list[bytes]) -> None:
        most, queues = int(executed.call.args[4]), executed.call.args[6:]
        batch = claimed_messages(reply)
        paused = self.world.indexes.members(b"paused")
        lines = [line for queue in queues if queue not in paused for line in _lines(queue)]
        taken = [lines.index(_line_of(claimed)) for claimed in batch]
        if taken != sorted(taken):
            raise Violation(f"a claim looks into {queues}, and takes {[_line_of(one) for one in batch]}")
        alone = bool(batch) and bool(int(batch[0].record[61:62], 16) & CLAIM_SINGLY)
        is_full = alone or len(batch) >= most
        for line in lines[: taken[-1]] if is_full else lines:
            if waits := self.world.indexes.members(line):
                if not is_full and self._is_suspect(waits[0]):
                    return  # it is claimed alone, and what stands behind it waits for that
                raise Violation(
                    f"a claim of {most} takes {[_line_of(one) for one in batch]}, and {waits} wait in {line!r}"
                )

    def _look(self) -> None:
        workers = PREFIX + b"w:"
        for key, value in self.world.node.values.items():
            if key.startswith(workers) and isinstance(value, HashValue):
                incarnation = key.removeprefix(workers)
                self._last |= {incarnation + f[1:]: seq for f, seq in value.items() if len(f) == 7}

    def _is_suspect(self, hint: bytes) -> bool:
        return bool(int((self.world.record(hint[:-9]) or b"")[61:62] or b"0", 16) & CLAIM_SINGLY)

    def _counted(self, queues: Sequence[bytes], reply: list[int]) -> None:
        for at, queue in enumerate(queues):
            waiting = sum(len(self.world.indexes.members(line)) for line in _lines(queue))
            if reply[2 * at] != waiting:
                raise Violation(f"{waiting} wait in {queue!r}, and {reply[2 * at]} are counted")


def _lines(queue: bytes) -> list[bytes]:
    return [b"q:%s:%d" % (queue, priority) for priority in PRIORITIES]


def _line_of(claimed: Claimed) -> bytes:
    return b"q:%s:%s" % (queue_of(claimed.record).encode(), claimed.record[60:61])
