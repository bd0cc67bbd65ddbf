"""Gates: no two messages hold one key, and those of a sequence run one at a time, in their order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskmesh.core.record import Record
from taskmesh.core.state import FINAL, State
from taskmesh.queue.enqueue import ENQUEUE, SEQUENCE
from taskmesh.testing.node_commands.values import SortedSet
from taskmesh.testing.simulated_network import Executed
from tests.simulation.ledger import INSTEAD, PREFIX, Plan, Violation
from tests.simulation.records import parsed

if TYPE_CHECKING:
    from tests.simulation.world import World


class Gates:
    """Knows who holds which key, by the records alone."""

    def __init__(self, world: World) -> None:
        self.world = world
        # in the order in which the node recorded them
        self._sequences: dict[bytes, list[bytes]] = {}
        self._recorded_ms: dict[bytes, int] = {}
        self._begun: set[bytes] = set()
        # those whose unique key another has taken since, after its time
        self._lapsed: set[bytes] = set()

    def executed(self, executed: Executed) -> None:
        """Look at what a call has changed; the records are noted already."""
        script, args = executed.call.script, executed.call.args
        new = self._new()
        sends = script is not None and script.name == ENQUEUE.name
        replaced = self._replaced() if sends else set()
        for plan in new:
            self._recorded_ms[plan.task_id] = int(args[1])
            self._took(plan, int(args[1]))
            if self._state(plan.task_id) is State.STARTED:
                # handed over, and its key let go of, before the next of the call was looked at
                self._begun.add(plan.task_id)
                self._begins(plan)
        if sends and isinstance(executed.reply, bytes):
            self._turned_away(executed.reply, args, replaced)
        for task_id in [*self._recorded_ms]:
            if self._state(task_id) is State.STARTED and task_id not in self._begun:
                self._begun.add(task_id)
                self._begins(self.world.ledger.plans[task_id])

    def came_back_older(self) -> None:
        """Know only what the older disk knows."""
        records = self.world.moves.records
        for task_id in [*self._recorded_ms]:
            record = records.get(task_id)
            if record is None:
                del self._recorded_ms[task_id]
                for line in self._sequences.values():
                    if task_id in line:
                        line.remove(task_id)
            if record is None or parsed(record).version == 1:
                self._begun.discard(task_id)
        latest = {self._keys(task_id)[0]: task_id for task_id in self._recorded_ms}
        self._lapsed = {task_id for task_id in self._recorded_ms if latest[self._keys(task_id)[0]] != task_id}

    def waits_for_its_turn(self, task_id: bytes) -> bool:
        """Tell whether others of its sequence, recorded before it, are not final."""
        keys = self.world.ledger.plans[task_id].keys
        if keys is None or not keys[SEQUENCE]:
            return False
        line = self._sequences[keys[SEQUENCE]]
        return any(not self._is_over(other) for other in line[: line.index(task_id)])

    def recount(self, records: dict[bytes, Record]) -> None:
        """What the node says of sequences and gates follows from the records."""
        members = self.world.indexes.members
        open_ = [task_id for task_id in self._recorded_ms if not self._is_over(task_id)]
        for digest, line in self._sequences.items():
            stands = self.world.node.values.get(PREFIX + b"sq:" + digest)
            ids = [member for member, _ in _in_order(stands)]
            expected = [task_id for task_id in line if not self._is_over(task_id)]
            if ids != expected:
                raise Violation(f"the sequence {digest!r} is {expected}, and by the node {ids}")
        blocked = {(records[i].queue.encode(), i) for i in open_ if self.waits_for_its_turn(i)}
        counted = {(queue, i) for queue in self.world.queues for i in members(b"blk:" + queue)}
        if blocked != counted:
            raise Violation(f"{blocked} wait for their turn, and by the node {counted}")
        gated = {
            i for i in open_ if (keys := self.world.ledger.plans[i].keys) and (keys[0] or keys[SEQUENCE])
        }
        if gated != set(members(b"gate")):
            raise Violation(f"{gated} hold keys, and by the node {members(b'gate')}")
        replaced = self._replaced()
        led_to = {i for i in self._recorded_ms if i in records and self._keys(i)[3] and i not in replaced}
        if led_to != set(members(b"ikid")):
            raise Violation(f"idempotency keys lead to {led_to}, and by the node to {members(b'ikid')}")

    # What happens

    def _new(self) -> list[Plan]:
        plans = self.world.ledger.plans
        return [
            plan
            for task_id, plan in plans.items()
            if plan.keys is not None
            and task_id not in self._recorded_ms
            and task_id in self.world.moves.records
        ]

    def _took(self, plan: Plan, now_ms: int) -> None:
        keys = plan.keys or ()
        replaced = self._replaced()
        for other in self._recorded_ms:
            if other != plan.task_id and keys[0] and self._holds(other, keys[0], now_ms):
                raise Violation(
                    f"{plan.task_id!r} was recorded, and {other!r} holds the unique key {keys[0]!r}"
                )
            if other in (plan.task_id, keys[INSTEAD]) or other in replaced or not keys[3]:
                continue
            if self._keys(other)[3] == keys[3]:
                raise Violation(
                    f"{plan.task_id!r} was recorded, and {other!r} has the idempotency key {keys[3]!r}"
                )
        if keys[0]:
            # whoever had it has it no more, also by a clock that is a little late
            self._lapsed |= {other for other in self._recorded_ms if self._keys(other)[0] == keys[0]}
            self._lapsed.discard(plan.task_id)
        if keys[SEQUENCE]:
            self._sequences.setdefault(keys[SEQUENCE], []).append(plan.task_id)

    def _turned_away(self, answer: bytes, args: tuple[bytes, ...], replaced: set[bytes]) -> None:
        verdicts, _, told = answer.partition(b"\n")
        firsts = iter(told.split(b"\n"))
        asked = _asked(args)
        if len(verdicts) != len(asked):
            raise Violation(f"{len(asked)} messages were sent, and the answer is {answer!r}")
        for task_id, verdict in zip(asked, verdicts, strict=True):
            if verdict not in b"dc":
                continue
            keys = self._keys(task_id)
            first, _, task = next(firsts).partition(b" ")
            if keys[3] and first in (keys[INSTEAD], *replaced) and keys[0] == b"":
                raise Violation(
                    f"the idempotency key of {task_id!r} leads to {first!r}, in whose place another was sent"
                )
            same = first in self.world.moves.records and keys[3] and self._keys(first)[3] == keys[3]
            alike = same and self._keys(first)[4] == keys[4]
            if verdict == ord("c"):
                if not same or alike or task != keys[5]:
                    raise Violation(
                        f"{task_id!r} was refused for {first!r} of {task!r}, which is no conflict"
                    )
            elif not alike and not self._holds(first, keys[0], int(args[1])):
                raise Violation(f"{first!r} does not stand for {task_id!r}, which was turned away")

    def _begins(self, plan: Plan) -> None:
        if self.waits_for_its_turn(plan.task_id):
            raise Violation(f"{plan.task_id!r} begins, and its turn in {self._sequences} has not come")

    # Small things

    def _replaced(self) -> set[bytes]:
        """Return those in whose place another was sent, which their idempotency keys lead to."""
        return {self._keys(task_id)[INSTEAD] for task_id in self._recorded_ms}

    def _keys(self, task_id: bytes) -> tuple[bytes, ...]:
        return self.world.ledger.plans[task_id].keys or (b"",) * 8

    def _holds(self, task_id: bytes, unique: bytes, now_ms: int) -> bool:
        keys = self._keys(task_id)
        if not unique or keys[0] != unique or task_id in self._lapsed or self._is_over(task_id):
            return False
        if keys[1] == b"s" and task_id in self._begun:
            return False
        return not keys[2] or now_ms < self._recorded_ms[task_id] + int(keys[2])

    def _state(self, task_id: bytes) -> State | None:
        record = self.world.moves.records.get(task_id)
        return parsed(record).state if record is not None else None

    def _is_over(self, task_id: bytes) -> bool:
        state = self._state(task_id)
        return state is None or state in FINAL


def _in_order(value: object) -> list[tuple[bytes, float]]:
    if not isinstance(value, SortedSet):
        return []
    return sorted(value.scores.items(), key=lambda item: item[1])


def _asked(args: tuple[bytes, ...]) -> list[bytes]:
    """Return the ids in a call of enqueue."""
    at, asked = 2, []
    while at < len(args):
        keyed = args[at + 7] == b"K"
        count = 1 if keyed else int(args[at + 7])
        at += 16 if keyed else 8
        asked += args[at : at + 2 * count : 2]
        at += 2 * count
    return asked
