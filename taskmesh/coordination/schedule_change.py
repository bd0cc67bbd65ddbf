"""How the definition of a schedule changes: functions of what its register holds, for `Registers.change`.

The present is an argument. It decides from when on firings count: none is made up for that lies before the schedule
was made, resumed or given other times.
"""

from __future__ import annotations

from hashlib import blake2b

from msgspec.structs import replace

from taskmesh.consensus.registers import Change, Delete, Keep, Refuse, Verdict, Versioned, Write
from taskmesh.coordination.schedule import Schedule, check_schedule, pack_schedule, unpack_schedule
from taskmesh.errors import UsageError

#: What a change answers: whether there was something to change.
CHANGED, UNCHANGED = b"changed", b"unchanged"


def put(schedule: Schedule, now_ms: int) -> Change:
    """Return the change that defines a schedule, or defines it anew.

    What does not differ is kept, so that a program may define its schedules at each start: firings which were missed
    meanwhile still count, and one that an operator paused stays so.

    Args:
        schedule: The definition; `paused` counts for a new one, `created_ms`, `since_ms` and `generation` never.
        now_ms: The present, Unix time.

    Raises:
        UsageError: The definition cannot be.
    """
    check_schedule(schedule)
    pack_schedule(schedule)

    def change(found: Versioned) -> Verdict:
        old = None if found.content is None else unpack_schedule(found.content)
        if old is None:
            new = replace(schedule, created_ms=now_ms, since_ms=now_ms, generation=found.version + 1)
        else:
            same = (old.when, old.zone) == (schedule.when, schedule.zone)
            new = replace(
                schedule,
                paused=old.paused,
                created_ms=old.created_ms,
                since_ms=old.since_ms if same else now_ms,
                generation=old.generation if same else found.version + 1,
                # what is said at run time does not make the code's word a new one
                declared=schedule.declared or old.declared,
            )
        return Keep(UNCHANGED) if new == old else Write(pack_schedule(new), CHANGED)

    return change


def declared(schedule: Schedule) -> Schedule:
    """Return a definition as the app's code says it: with a digest, by which it is known again."""
    digest = blake2b(pack_schedule(replace(schedule, declared="")), digest_size=8).hexdigest()
    return replace(schedule, declared=digest)


def declare(schedule: Schedule, now_ms: int) -> Change:
    """Return the change that has a schedule be as the app's code says, unless the code said so before.

    A program says the same at each start. What an operator changed since stands, until the code says something else.

    Args:
        schedule: The definition, as `declared` returns it.
        now_ms: The present, Unix time.
    """
    define = put(schedule, now_ms)

    def change(found: Versioned) -> Verdict:
        if found.content is not None and unpack_schedule(found.content).declared == schedule.declared:
            return Keep(UNCHANGED)
        return define(found)

    return change


def pause(name: str) -> Change:
    """Return the change after which a schedule does not fire."""

    def change(found: Versioned) -> Verdict:
        if found.content is None:
            return _unknown(name)
        old = unpack_schedule(found.content)
        return Keep(UNCHANGED) if old.paused else Write(pack_schedule(replace(old, paused=True)), CHANGED)

    return change


def resume(name: str, now_ms: int) -> Change:
    """Return the change after which a schedule fires again; what it would have fired meanwhile is not made up for."""

    def change(found: Versioned) -> Verdict:
        if found.content is None:
            return _unknown(name)
        old = unpack_schedule(found.content)
        if not old.paused:
            return Keep(UNCHANGED)
        return Write(pack_schedule(replace(old, paused=False, since_ms=now_ms)), CHANGED)

    return change


def remove(found: Versioned) -> Verdict:
    """Have a schedule exist no more; messages that it has enqueued are run all the same. This is a change itself."""
    return Keep(UNCHANGED) if found.content is None else Delete(CHANGED)


def _unknown(name: str) -> Refuse:
    return Refuse(
        UsageError(f"there is no schedule {name!r}; `taskmesh schedule list` shows those there are")
    )
