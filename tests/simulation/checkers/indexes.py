"""Indexes: what the lists, sets and hashes of the node say equals what follows from its records. A full recount."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from taskmesh.core.keys import BY_TICKET
from taskmesh.core.record import REVOKE_REQUESTED, Record
from taskmesh.core.state import FINAL, State
from taskmesh.core.version_order import encode
from taskmesh.testing.node_commands.values import HashValue, SortedSet
from tests.simulation.ledger import PREFIX, Violation
from tests.simulation.records import parsed

if TYPE_CHECKING:
    from tests.simulation.world import World


class Indexes:
    """Recounts."""

    def __init__(self, world: World) -> None:
        self.world = world

    def check(self, *, settled: bool) -> None:
        """Recount everything.

        Args:
            settled: All is over, so that nothing may be held or in line any more.
        """
        values = self.world.node.values
        records: dict[bytes, Record] = {}
        for task_id in self.world.ledger.plans:
            raw = values.get(PREFIX + b"r:" + task_id)
            if isinstance(raw, bytes):
                records[task_id] = parsed(raw)
        self._live(records)
        self._lines(records)
        self._running(records)
        self._functions(records)
        self._buckets(records)
        self._expiring(records)
        self._told(records)
        self._idle()
        self.world.gates.recount(records)
        if settled:
            self._settled()

    def _of(self, kind: bytes) -> list[bytes]:
        begin = PREFIX + kind
        return [key for key in self.world.node.values if key.startswith(begin)]

    def members(self, name: bytes) -> list[bytes]:
        """Return what a set, list or sorted set of the mesh holds."""
        return self._members(PREFIX + name)

    def _members(self, key: bytes) -> list[bytes]:
        value = self.world.node.values.get(key, ())
        if isinstance(value, SortedSet):
            return list(value.scores)
        return list(value)  # type: ignore[arg-type]

    def _live(self, records: dict[bytes, Record]) -> None:
        """The live index of each slot is the ids that are not final."""
        indexed = {(key[-4:], task_id) for key in self._of(b"L:") for task_id in self._members(key)}
        expected = {
            (b"%04x" % record.slot, task_id)
            for task_id, record in records.items()
            if record.state not in FINAL
        }
        if indexed != expected:
            raise Violation(f"the live index and the records differ: {sorted(indexed ^ expected)[:5]}")

    def _lines(self, records: dict[bytes, Record]) -> None:
        """What waits stands in its line, or by its time in the delayed index, with its present version."""
        hints = {key: Counter(self._members(key)) for key in self._of(b"q:")}
        known = self.members(b"queues")
        for key in [*hints, *self._of(b"blk:")]:
            if self._members(key) and key.removeprefix(PREFIX).split(b":")[1] not in known:
                raise Violation(f"messages wait in {key!r}, and the queue is not listed")
        delayed = self.world.node.values.get(PREFIX + b"d")
        for task_id, record in records.items():
            hint = b"%s:%s" % (task_id, encode(record.version))
            if record.state is State.PENDING:
                line = PREFIX + b"q:%s:%d" % (record.queue.encode(), record.priority)
                times = 0 if self.world.gates.waits_for_its_turn(task_id) else 1
                if hints.get(line, {}).get(hint, 0) != times:
                    raise Violation(
                        f"{task_id!r} waits, and stands {hints.get(line, {}).get(hint, 0)} times in line, not {times}"
                    )
            elif record.state in (State.SCHEDULED, State.RETRY):
                due = delayed.scores.get(hint) if isinstance(delayed, SortedSet) else None
                if due != record.moment_ms:
                    raise Violation(f"{task_id!r} is due at {record.moment_ms}, and by the index at {due}")

    def _running(self, records: dict[bytes, Record]) -> None:
        """What runs stands in its holder's index, so that it can be put back when the holder dies."""
        for task_id, record in records.items():
            if record.state is not State.STARTED:
                continue
            holder, sequence = record.token[20:42].encode(), record.token[42:].encode()
            run = self.world.node.values.get(PREFIX + b"run:" + holder)
            if not isinstance(run, HashValue) or task_id not in run.get(sequence, b"").split(b"\n"):
                raise Violation(f"{task_id!r} runs, and is not in the index of its holder {holder!r}")

    def _functions(self, records: dict[bytes, Record]) -> None:
        """A function is counted once for each record that refers to it, and is there as long as one does."""
        counted = self.world.node.values.get(PREFIX + b"fnref", {})
        referred = Counter(record.function.encode() for record in records.values() if record.function)
        if not isinstance(counted, dict):
            raise Violation("the counts of functions are not a hash")
        for function in {*counted, *referred}:
            if int(counted.get(function, b"0")) != referred[function]:
                raise Violation(
                    f"{referred[function]} records refer to {function!r}, the node counts {counted}"
                )
            if referred[function] and PREFIX + b"fn:" + function not in self.world.node.values:
                raise Violation(f"{referred[function]} records refer to {function!r}, which is gone")

    def _buckets(self, records: dict[bytes, Record]) -> None:
        """What is final stands in a bucket that will be cleared, and dead letters in their index."""
        minutes = self._members(PREFIX + b"xb")
        to_go = {
            task_id
            for minute in minutes
            for some in self._members(PREFIX + b"x:" + minute)
            for task_id in some.split(b"\n")
        }
        dead = set(self._members(PREFIX + b"dead"))
        for task_id, record in records.items():
            if record.state in FINAL and task_id not in to_go:
                raise Violation(f"{task_id!r} is final and will never be removed")
            is_dead_letter = record.state is State.DEAD and bool(record.outcome)
            if is_dead_letter != (task_id in dead):
                raise Violation(
                    f"{task_id!r} is {record.state}, and among the dead letters: {task_id in dead}"
                )

    def _expiring(self, records: dict[bytes, Record]) -> None:
        """What waits and must begin in time stands in the index of those; what has ended does not."""
        index = self.world.node.values.get(PREFIX + b"e")
        scores = index.scores if isinstance(index, SortedSet) else {}
        for task_id, record in records.items():
            expires_ms = self.world.ledger.plans[task_id].expires_ms
            if record.state in FINAL and task_id in scores:
                raise Violation(f"{task_id!r} is final, and is still to expire")
            # what has run once may stand there no more: a worker looks at the time again before it begins
            if record.version == 1 and record.state not in FINAL and scores.get(task_id, 0) != expires_ms:
                raise Violation(
                    f"{task_id!r} expires at {expires_ms}, and by the index at {scores.get(task_id)}"
                )

    def _idle(self) -> None:
        """Nobody is idle on a paused queue where a hand-over or a wake-up would find him, nor whom tickets wake."""
        for queue in self.world.queues:
            for kind, by_ticket in ((b"idle:", False), (b"pidle:", False), (b"tidle:", True)):
                for holder in self.members(kind + queue):
                    if bool(int(holder[16:], 16) & BY_TICKET) is not by_ticket:
                        raise Violation(f"{holder!r} is idle in {kind + queue!r}")
        for queue in self.members(b"paused"):
            idle = self.members(b"idle:" + queue)
            if idle:
                raise Violation(f"{queue!r} is paused, and {idle} may be given its messages")

    def _told(self, records: dict[bytes, Record]) -> None:
        """What runs and is told to be revoked, and only that, has its outcome ready; what has ended tells nothing."""
        ready = self.world.node.values.get(PREFIX + b"rv", {})
        reports = self.world.node.values.get(PREFIX + b"tellings", {})
        if not isinstance(ready, dict) or not isinstance(reports, dict):
            raise Violation("what is told, and what is to be revoked, are no hashes")
        for task_id, record in records.items():
            told = record.state is State.STARTED and bool(record.flags & REVOKE_REQUESTED)
            if told != (task_id in ready):
                raise Violation(
                    f"{task_id!r} runs and is told to be revoked: {told}; its outcome is ready: {task_id in ready}"
                )
            if record.state in FINAL and task_id in reports:
                raise Violation(f"{task_id!r} is final, and what it told of itself is still there")
            if record.state is State.STARTED and task_id in reports:
                self._reported(task_id, record, reports[task_id])

    def _reported(self, task_id: bytes, record: Record, wire: bytes) -> None:
        """What is told of a run is by itself, or by one before it."""
        _, of, token = wire.split(b"|")
        if of != task_id or int(token[:8], 36) > record.version:
            raise Violation(f"of {task_id!r}, which runs by {record.token}, is told {wire!r}")

    def _settled(self) -> None:
        """When all is over, nothing is delayed and nobody of a worker that is gone is waited for."""
        delayed = self._members(PREFIX + b"d")
        if delayed:
            raise Violation(f"all is final, and the delayed index still has {delayed[:5]}")

    def check_nothing_left(self) -> None:
        """After hours, when everybody has left: no record, function, bucket or trace of a worker."""
        # whoever dies while an older disk comes back may be idle again; the next message of the queue drops that
        idle = () if self.world.moves.lives else (b"idle:", b"pidle:", b"tidle:")
        left = [
            key
            for kind in (
                b"r:",
                b"L:",
                b"fn",
                b"x",
                b"run:",
                b"wake:",
                *idle,
                b"paused",
                b"u",
                b"ik",
                b"gate",
                b"sq:",
                b"blk:",
                b"dead",
                b"d",
                b"control:",
                b"rv",
                b"tellings",
            )
            for key in self._of(kind)
        ] + self._members(PREFIX + b"e")
        if left:
            raise Violation(f"after hours, these are left: {left[:8]}")
