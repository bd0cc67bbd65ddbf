"""A queue that knows ids, for the messages of transactions: they are late, lost and repeated, and find no room.

It remembers a message for a while only, and records none of whom it is not certain that it would still know it.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any

from taskmesh.coordination.committing import Deliver, Delivered
from taskmesh.errors import NodeUnavailable

if TYPE_CHECKING:
    from tests.simulation.agreement.world import Task
    from tests.simulation.coordination.world import CoordinationWorld

#: How long one who sends waits for an answer.
ANSWER_S = 1.0
#: How long a message is remembered after it was recorded; and for how long after a look it is recorded.
REMEMBER_S, LOOKED_S = 30.0, 15.0
#: How often there is no room for a message, where that happens at all, and until when at the latest.
FULL, ROOM_S_MAX = 0.3, 70.0


class Queue:
    """What records messages.

    Attributes:
        times: How often each message was recorded.
        told: Is called of each that is recorded, with how long ago it was the last time; None if it never was.
        heard_s: Since when somebody who certainly lived on has heard that a message is recorded.
        fills: Whether there is no room for some of them, for a while.
    """

    def __init__(self, world: CoordinationWorld) -> None:
        self.world = world
        self.times: dict[bytes, int] = {}
        self.told: Callable[[bytes, float | None], None] = lambda task_id, ago_s: None
        self.fills = False
        self.heard_s: dict[bytes, float] = {}
        self._recorded_s: dict[bytes, float] = {}

    def deliver(self, task: Task, request: Deliver) -> None:
        """Carry messages to where they are recorded; the sender may die meanwhile."""
        world, rates, random = self.world, self.world.rates, self.world.random.random
        given = task, task.round, request
        took_s = random() * rates.delay_s
        world.after(ANSWER_S, self._give_up, given)
        if world.faulty:
            if random() < rates.twice:
                world.after(took_s + random() * rates.late_s, self._arrive, given)
            if random() < rates.lost:
                return
            if random() < rates.late:
                took_s += random() * rates.late_s
        world.after(took_s, self._arrive, given)

    def _arrive(self, given: tuple[Task, int, Deliver]) -> None:
        task, at, request = given
        delivered = self._record(request)
        if not (self.world.faulty and self.world.random.random() < self.world.rates.lost):
            self.world.after(
                self.world.random.random() * self.world.rates.delay_s,
                self.world.go_on,
                (task, at, [delivered]),
            )

    def _room_s(self, name: str) -> float:
        """Return since when there is room for a message."""
        random = Random(f"{self.world.seed} {name}")
        return random.random() * ROOM_S_MAX if random.random() < FULL else 0.0

    def _give_up(self, given: tuple[Task, int, Deliver]) -> None:
        """Nobody answered in time: either that is told of each message, or of all of them at once."""
        task, at, request = given
        answer: Any = NodeUnavailable("simulated: no node answers")
        if self.world.random.random() < 0.5:
            answer = Delivered(left={each.task_id.decode(): "unknown" for each in request.messages})
        self.world.go_on((task, at, [answer]))

    def _record(self, request: Deliver) -> Delivered:
        now_s = self.world.now_s
        accepted, known, left = set[str](), set[str](), dict[str, str]()
        for message in request.messages:
            name, ago_s = message.task_id.decode(), None
            if message.task_id in self._recorded_s:
                ago_s = now_s - self._recorded_s[message.task_id]
            if self.fills and now_s < self._room_s(name):
                left[name] = "no room"
            elif ago_s is not None and ago_s < REMEMBER_S:
                accepted.add(name)
                known.add(name)
            elif now_s - request.looked_ms / 1000 > LOOKED_S:
                left[name] = "too old"
            else:
                self.told(message.task_id, ago_s)
                self.times[message.task_id] = self.times.get(message.task_id, 0) + 1
                self._recorded_s[message.task_id] = now_s
                accepted.add(name)
        for name in () if self.world.faulty else accepted:
            self.heard_s.setdefault(name.encode(), now_s)
        return Delivered(frozenset(accepted), frozenset(known), left=left)
