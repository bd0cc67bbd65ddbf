"""Firings of schedules that do not allow overlaps: the message of the one before says what comes of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from msgspec.structs import replace

from taskmesh.coordination.cursor import Cursor, Running, key_of
from taskmesh.coordination.firing import firing_id, shard_of
from taskmesh.coordination.schedule import ALLOW
from taskmesh.core.record import Record
from taskmesh.core.state import FINAL
from taskmesh.results.read import read
from taskmesh.scheduler.overlap import Verdict, buffered_may_run, verdict

if TYPE_CHECKING:
    from taskmesh.nodes.link import Link
    from taskmesh.scheduler.definitions import Definitions

#: Schedule and nominal moment.
Due = tuple[str, int]


class Overlapping:
    """Decides which firings are enqueued; what ran last, and what waits, stands in the cursors."""

    def __init__(self, link: Link, definitions: Definitions) -> None:
        """Prepare.

        Args:
            link: To the node, which knows which messages have ended.
            definitions: Whose cursors are kept.
        """
        self._link = link
        self._definitions = definitions

    def buffered(self) -> list[str]:
        """Return the schedules of which a firing waits for its message."""
        cursors = self._definitions.cursors
        names = [name for name, known in self._definitions.known.items() if known.schedule.overlap != ALLOW]
        return [name for name in names if (running := _running(cursors, name)) and running.buffered_ms]

    def waiting_ms(self) -> list[int]:
        """Return the nominal moments of those firings."""
        found = (_running(self._definitions.cursors, name) for name in self.buffered())
        return [running.buffered_ms for running in found if running]

    def decide(self, due: Iterable[Due], pending: Iterable[Due] = ()) -> tuple[list[Due], set[int]]:
        """Return the firings that are to be enqueued, and the shards whose cursors changed.

        Args:
            due: Nominal firings of schedules that do not allow overlaps, in order.
            pending: What was decided before, and is not recorded yet: it has not ended.

        Raises:
            NodeUnavailable: The node does not tell which messages have ended.
        """
        due = list(due)
        waiting = self.buffered()
        names = {name for name, _ in due} | set(waiting)
        ended = self._ended(names)
        begun = {name for name, _ in pending}
        chosen: list[Due] = []
        shards: set[int] = set()

        def begin(name: str, nominal_ms: int, buffered_ms: int = 0) -> None:
            chosen.append((name, nominal_ms))
            begun.add(name)
            note(name, Running(nominal_ms, buffered_ms, is_recorded=False))

        def note(name: str, running: Running) -> None:
            shards.add(self._note(name, running))

        for name in waiting:
            running = _running(self._definitions.cursors, name)
            if running and buffered_may_run(previous_final=name not in begun and ended(name), buffered=True):
                begin(name, running.buffered_ms)
        for name, nominal_ms in due:
            running = _running(self._definitions.cursors, name)
            if running is not None and nominal_ms <= max(running.nominal_ms, running.buffered_ms):
                continue  # a leader before has decided of it
            is_free = name not in begun and ended(name)
            buffered_ms = running.buffered_ms if running else 0
            overlap = self._definitions.known[name].schedule.overlap
            said = verdict(overlap, previous_final=is_free, buffered=bool(buffered_ms))
            if said is Verdict.RUN:
                begin(name, nominal_ms)
            elif said is Verdict.RUN_BUFFERED:
                begin(name, buffered_ms, nominal_ms)
            elif said is Verdict.BUFFER and running is not None:
                note(name, replace(running, buffered_ms=nominal_ms))
        return chosen, shards

    def unrecorded(self) -> list[Due]:
        """Return the firings that were decided upon, perhaps by a leader that was lost before it had sent them."""
        found: list[Due] = []
        for name, known in self._definitions.known.items():
            running = _running(self._definitions.cursors, name) if known.schedule.overlap != ALLOW else None
            # what fell before it was resumed does not count any more
            if running and not running.is_recorded and running.nominal_ms > known.schedule.since_ms:
                found.append((name, running.nominal_ms))
        return found

    def recorded(self, done: Iterable[Due]) -> None:
        """Note that these are recorded, those that it concerns."""
        for name, nominal_ms in done:
            running = _running(self._definitions.cursors, name)
            if running and running.nominal_ms == nominal_ms and not running.is_recorded:
                self._note(name, replace(running, is_recorded=True))

    def _note(self, name: str, running: Running) -> int:
        """Put an entry into the cursor of a schedule, and return its shard."""
        shard = shard_of(name)
        cursor = self._definitions.cursors[shard]
        self._definitions.cursors[shard] = cursor.moved(cursor.seen_ms, {key_of(name): running})
        return shard

    def _ended(self, names: Iterable[str]) -> Callable[[str], bool]:
        """Return what tells of schedules whether the message that they enqueued last has ended, or is forgotten."""
        asked = {
            name: firing_id(name, running.nominal_ms)
            for name in names
            if (running := _running(self._definitions.cursors, name))
        }
        records = (
            self._link.run(read(self._link.session, list(asked.values()), patience_s=2.0)) if asked else []
        )
        live = {
            name
            for name, record in zip(asked, records, strict=True)
            if isinstance(record, Record) and record.state not in FINAL
        }
        return lambda name: name not in live


def _running(cursors: dict[int, Cursor], name: str) -> Running | None:
    return cursors[shard_of(name)].running.get(key_of(name))
