"""Starts: no window sees more of a limited task than its limit says, nobody is overtaken, and nothing is wasted."""

from __future__ import annotations

from bisect import insort
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from taskmesh.queue.rate import RATE
from taskmesh.testing.node_commands.values import HashValue, SortedSet
from taskmesh.testing.simulated_network import Executed
from tests.simulation.ledger import PREFIX, Plan, Violation

if TYPE_CHECKING:
    from tests.simulation.child import Child
    from tests.simulation.world import World

#: Once nothing goes wrong any more, so much of the limit is reached at least, as long as there is work.
REACHED = 0.7
#: After the trouble, what was late has come, dead workers were noticed and their messages put back in so many seconds.
SETTLED_S = 6.0
#: And no message is sent away more often than that, then.
BOUNCES_MAX = 12


def most_in_a_window(started: Sequence[float], period_ms: float) -> int:
    """Return the most starts that any window of this length sees, both its ends included."""
    most, first = 0, 0
    for last, at in enumerate(started):
        while at - started[first] > period_ms:
            first += 1
        most = max(most, last - first + 1)
    return most


@dataclass(slots=True)
class _Limited:
    """One limited task.

    Attributes:
        started_ms: When its messages were started, each by the clock of its child: nobody is to blame if clocks differ.
        healed: When they were after the trouble, on no clock and on the child's (ms), and whether others waited then.
        reserved_us: For which moment those wait who do.
        free_us: When the next start is free, by the grants that were given.
        digest: By which the node knows it.
    """

    started_ms: list[int] = field(default_factory=list)
    healed: list[tuple[float, int, bool]] = field(default_factory=list)
    reserved_us: dict[bytes, int] = field(default_factory=dict)
    free_us: int = 0
    digest: bytes = b""


class Starts:
    """Knows of each limited task when it was started, and who waits for a start."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._tasks = {name: _Limited() for name in world.rates.limits}
        self._bounces: dict[bytes, int] = defaultdict(int)

    def came_back_older(self) -> None:
        """Know what the older disk knows: what it has forgotten of starts, nobody promises."""
        values = self.world.node.values
        for task in self._tasks.values():
            task.started_ms.clear()
            free, waiting = values.get(PREFIX + b"rates"), values.get(PREFIX + b"rate:" + task.digest)
            task.free_us = int(free.get(task.digest, b"0")) if isinstance(free, HashValue) else 0
            scores = waiting.scores if isinstance(waiting, SortedSet) else {}
            task.reserved_us = {task_id: int(moment_us) for task_id, moment_us in scores.items()}

    def began(self, child: Child, plan: Plan) -> None:
        """Check that a message of a limited task may start."""
        if plan.limited is None:
            return
        rate, task = self.world.rates.limits[plan.limited], self._tasks[plan.limited]
        insort(task.started_ms, child.process.now_ms())
        seen = most_in_a_window(task.started_ms, rate.period_s * 1000)
        if seen > rate.count:
            raise Violation(f"{plan.task_id!r} is start {seen} of {plan.limited!r} in one period of {rate}")
        if self.world.healed:
            others_wait = any(other in self.world.moves.open for other in task.reserved_us)
            task.healed.append((self.world.time.now_s, child.process.now_ms(), others_wait))

    def executed(self, executed: Executed) -> None:
        """Check the answer to who asked for a start."""
        script = executed.call.script
        if script is None or script.name != RATE.name or not isinstance(executed.reply, list):
            return
        digest, interval_us, grace_us = executed.call.args[2], *map(int, executed.call.args[3:5])
        task_id, now_us = executed.call.args[5], int(executed.call.args[1]) * 1000
        task = self._tasks[self.world.ledger.plans[task_id].limited or ""]
        task.digest = digest
        waiting = [other for other, moment_us in task.reserved_us.items() if moment_us >= now_us - grace_us]
        is_free = task.free_us - grace_us <= now_us
        if executed.reply[0]:
            if not is_free:
                raise Violation(
                    f"{task_id!r} is granted a start at {now_us}, and none is free till {task.free_us}"
                )
            if task_id not in task.reserved_us and waiting:
                raise Violation(f"{task_id!r} is granted a start, and overtakes {waiting}, who wait for one")
            task.reserved_us.pop(task_id, None)
            task.free_us = max(now_us, task.free_us) + interval_us
            if self.world.node.call((b"ZSCORE", PREFIX + b"rate:" + digest, task_id)) is not None:
                raise Violation(f"{task_id!r} is granted a start, and goes on waiting for one")
            return
        before_us, moment_us = task.reserved_us.get(task_id), int(executed.reply[1])
        if is_free and before_us is not None and before_us <= now_us:
            raise Violation(f"{task_id!r} comes at its moment, a start is free, and it is sent away")
        behind = (len(waiting) + 1) * interval_us if waiting else 0
        if before_us is None and moment_us > max(now_us, task.free_us) + behind:
            raise Violation(f"{task_id!r} is to wait until {moment_us}, behind {len(waiting)} others")
        task.reserved_us[task_id] = moment_us
        self._bounced(task_id)

    def check_reached(self) -> None:
        """Check that after the trouble the limits were reached, as long as messages waited for their start."""
        for name, task in self._tasks.items():
            settled = [row for row in task.healed if row[0] >= self.world.healed_s + SETTLED_S]
            gaps_s = [after - at for (at, _, others_wait), (after, _, _) in pairwise(settled) if others_wait]
            expected = sum(gaps_s) / (self.world.rates.limits[name].interval_us / 1e6)
            if settled:
                expected -= self._given_up(task, settled[0][1], settled[-1][1])
            if len(gaps_s) < REACHED * expected - 1:
                raise Violation(
                    f"{len(gaps_s)} starts of {name!r} where there might have been {expected:.1f}"
                )

    def _given_up(self, task: _Limited, first_ms: int, last_ms: int) -> int:
        """Return how many starts nobody took between two moments, since who had reserved them expired."""
        return sum(
            first_ms <= moment_us / 1000 <= last_ms and other not in self.world.moves.open
            for other, moment_us in task.reserved_us.items()
        )

    def _bounced(self, task_id: bytes) -> None:
        if self.world.healed:
            self._bounces[task_id] += 1
            if self._bounces[task_id] > BOUNCES_MAX:
                raise Violation(f"{task_id!r} asks for a start again and again, and is sent away")
