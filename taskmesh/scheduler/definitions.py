"""What the leader knows of the schedules: their definitions and cursors, as the registers say, and what changed."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field

from taskmesh.consensus.listing import anew, changes
from taskmesh.consensus.registers import Registers, Versioned
from taskmesh.coordination.cursor import Cursor, cursor_register, key_of, unpack_cursor
from taskmesh.coordination.firing import SHARDS, schedule_of_register, schedule_register, shard_of
from taskmesh.coordination.schedule import Schedule, unpack_schedule
from taskmesh.core.steps import GroupSteps
from taskmesh.errors import TaskMeshError
from taskmesh.scheduler.agenda import Agenda, Entry
from taskmesh.scheduler.when import When, read_when

log = logging.getLogger("taskmesh.scheduler")
PREFIX = schedule_register("")


@dataclass(frozen=True, slots=True)
class Known:
    """One schedule that fires."""

    schedule: Schedule
    when: When

    @property
    def entry(self) -> Entry:
        """What the agenda needs of it."""
        return Entry(self.when, self.schedule.start_ms, self.schedule.end_ms)


@dataclass(slots=True)
class Definitions:
    """All schedules, as one leader knows them.

    Attributes:
        registers: The way to them.
        known: Those that fire, by name; not those that are paused or cannot be read.
        cursors: By shard.
        agenda: When each fires next.
    """

    registers: Registers
    known: dict[str, Known] = field(default_factory=dict)
    cursors: dict[int, Cursor] = field(default_factory=dict)
    agenda: Agenda = field(default_factory=Agenda)
    _since: dict[str, int] = field(default_factory=dict)
    _paused: set[str] = field(default_factory=set)

    def load(self) -> GroupSteps[None]:
        """Read cursors, then all definitions.

        Raises:
            NoMajority: Too few acceptors answered.
        """
        found = yield from self.registers.read_many([cursor_register(shard) for shard in range(SHARDS)])
        self.cursors = {
            shard: unpack_cursor(found[cursor_register(shard)].content) for shard in range(SHARDS)
        }
        yield from self.follow()
        self._drop_left_behind()

    def follow(self) -> GroupSteps[int]:
        """Take over what has changed since this was last asked, and return of how many schedules.

        Raises:
            NoMajority: Too few acceptors answered.
        """
        names, until = yield from changes(self.registers, self._since, PREFIX)
        if anew(self._since, until):
            # what is not among those was left behind with the acceptors of before
            for name in (self.known.keys() | self._paused) - {schedule_of_register(name) for name in names}:
                self._forget(name)
                self._drop(name)
        found = yield from self.registers.read_many(sorted(names))
        self._since = until
        return sum(self._take(register, versioned) for register, versioned in found.items())

    def _take(self, register: str, versioned: Versioned) -> bool:
        name = schedule_of_register(register)
        if name is None:
            return False
        old = self.known.get(name)
        try:
            new = _read(versioned)
        except TaskMeshError as error:
            log.warning("schedule %s cannot be read, and does not fire: %s", name, error)
            new = None
        if versioned.content is None:
            self._drop(name)
        elif new is None:
            self._paused.add(name)
        if new == old:
            return False
        if new is None:
            self._forget(name)
            return True
        self._paused.discard(name)
        self.known[name] = new
        self.agenda.put(name, new.entry, max(self.cursors[shard_of(name)].seen_ms, new.schedule.since_ms))
        return True

    def _forget(self, name: str) -> None:
        self.known.pop(name, None)
        self.agenda.remove(name)

    def _drop(self, name: str) -> None:
        """Forget what ran last of a schedule that does not exist any more, or cursors would grow for ever."""
        self._paused.discard(name)
        shard, key = shard_of(name), key_of(name)
        cursor = self.cursors[shard]
        if key in cursor.running:
            self.cursors[shard] = cursor.moved(cursor.seen_ms, {key: None})

    def _drop_left_behind(self) -> None:
        """The same, of schedules that were removed while nobody led."""
        there = {key_of(name) for name in (*self.known, *self._paused)}
        for shard, cursor in self.cursors.items():
            gone = cursor.running.keys() - there
            if gone:
                self.cursors[shard] = cursor.moved(cursor.seen_ms, dict.fromkeys(gone))

    def seen(self, shards: Iterable[int], now_ms: int) -> None:
        """Note up to when all firings of some shards were enqueued."""
        for shard in shards:
            self.cursors[shard] = self.cursors[shard].moved(now_ms)


def _read(versioned: Versioned) -> Known | None:
    if versioned.content is None:
        return None
    schedule = unpack_schedule(versioned.content)
    return None if schedule.paused else Known(schedule, read_when(schedule.when, schedule.zone))
