"""Firing schedules in tests: for a stretch of time that the test names, without waiting for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from taskmesh.client.result import AsyncResult
from taskmesh.client.result_set import ResultSet
from taskmesh.consensus.listing import names
from taskmesh.coordination.firing import firing_id, schedule_register
from taskmesh.coordination.schedule import Schedule, unpack_schedule
from taskmesh.coordination.schedule_change import declare
from taskmesh.errors import UsageError
from taskmesh.scheduler.message import Maker
from taskmesh.scheduler.timetable import firings
from taskmesh.scheduler.when import read_when

if TYPE_CHECKING:
    from taskmesh.app import TaskMesh

#: So many firings at once are a mistake.
FIRINGS_MAX = 10_000


def fire(mesh: TaskMesh, after_ms: int, until_ms: int) -> ResultSet[Any]:
    """Send what the schedules of a mesh call from one moment to another, as a leader does that is never late.

    Those in the app's code are defined first, as a worker does. What is sent already is not sent again: a firing's id
    is made of schedule and moment. `jitter` delays nothing, and `overlap` skips nothing: each is taken to have ended
    before the next.

    Args:
        mesh: The mesh.
        after_ms: Exclusive, Unix time.
        until_ms: Inclusive.

    Returns:
        Handles on the messages, in the order of their moments.

    Raises:
        UsageError: There are more than `FIRINGS_MAX`.
        AgreementError, SendRejected, SendUnknown: As with any schedule, and any message.
    """
    portal = mesh.portal
    portal.open_to_send()
    link = portal.link
    maker = Maker(link.session, link.messages, portal.client_name)
    handles: list[AsyncResult[Any]] = []
    for moment_ms, schedule in _due(mesh, after_ms, until_ms):
        call = schedule.call
        message = maker.message(firing_id(schedule.name, moment_ms), call)
        handle: AsyncResult[Any] = AsyncResult(portal, message.task_id.decode(), call.task)
        portal.sender.send_one(message, {message.function: call.blob} if message.function else None, handle)
        handles.append(handle)
    return ResultSet(handles, portal)


def _due(mesh: TaskMesh, after_ms: int, until_ms: int) -> list[tuple[int, Schedule]]:
    found: list[tuple[int, Schedule]] = []
    for schedule in _schedules(mesh):
        when = read_when(schedule.when, schedule.zone)
        for moment_ms in firings(
            when, after_ms, until_ms, start_ms=schedule.start_ms, end_ms=schedule.end_ms
        ):
            found.append((moment_ms, schedule))
            if len(found) > FIRINGS_MAX:
                raise UsageError(
                    f"more than {FIRINGS_MAX:,} firings are due in this time, the last ones of schedule "
                    f"{schedule.name!r}; name a shorter one with at= and after="
                )
    return sorted(found, key=lambda each: (each[0], each[1].name))


def _schedules(mesh: TaskMesh) -> Iterator[Schedule]:
    """Return those that are not paused."""
    agreement = mesh.agreement
    registers = agreement.registers
    now_ms = mesh.link.clock.now_ms()
    for packed in mesh.declared_schedules():
        schedule = unpack_schedule(packed)
        change = declare(schedule, now_ms)
        agreement.run(registers.change(schedule_register(schedule.name), change, agreement.operation()))
    held = agreement.run(registers.read_many(agreement.run(names(registers, schedule_register("")))))
    for each in held.values():
        if each.content is not None and not (found := unpack_schedule(each.content)).paused:
            yield found
