"""Schedules of a mesh, as callers see and change them at run time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from taskmesh.client.options import SendOptions
from taskmesh.client.result import AsyncResult
from taskmesh.client.spans import SendSpans, in_span
from taskmesh.codec.pickling import decode_call
from taskmesh.consensus.listing import names
from taskmesh.consensus.registers import Change, Changed
from taskmesh.coordination.firing import check_schedule_name, schedule_register
from taskmesh.coordination.schedule import PackedCall, Schedule, unpack_schedule
from taskmesh.coordination.schedule_change import CHANGED, pause, put, remove, resume
from taskmesh.errors import UsageError
from taskmesh.scheduler.timetable import firings
from taskmesh.scheduler.when import When, read_when
from taskmesh.scheduler.zones import zone_of

if TYPE_CHECKING:
    from taskmesh.client.portal import Portal
    from taskmesh.nodes.agreement import Agreement

T = TypeVar("T")
_YEARS_MS = 50 * 366 * 86_400_000
_MS = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class ScheduleView:
    """A schedule as it stands.

    Attributes:
        name: Its name.
        when: When it fires, as text: a cron line, `every 30s`, `once ...`.
        zone: The time zone that is meant.
        task: Name of the task that it calls.
        queue: Where its messages go.
        paused: Whether it does not fire for now.
        declared: Whether it stands in the app's code.
        misfire: `skip`, `latest` or `all`.
        catch_up_s: How old a missed firing may be that is run.
        overlap: `allow`, `skip` or `buffer-one`.
        jitter_s: By how much its messages are delayed at most.
        start, end: Nothing fires before the one, nor from the other on; None for no such bound.
        created: When it was made.
    """

    name: str
    when: str
    zone: str
    task: str
    queue: str
    paused: bool
    declared: bool
    misfire: str
    catch_up_s: float
    overlap: str
    jitter_s: float
    start: datetime | None
    end: datetime | None
    created: datetime
    _schedule: Schedule = field(repr=False)

    def coming(self, count: int = 1, *, after: float | None = None) -> list[datetime]:
        """Return the next firings, in the schedule's zone; none while it is paused.

        Args:
            count: How many at most.
            after: Unix time; now if not given.
        """
        import time

        if self.paused:
            return []
        after_ms = int((time.time() if after is None else after) * 1000)
        schedule = self._schedule
        found: list[datetime] = []
        for moment_ms in firings(
            self.times,
            after_ms,
            after_ms + _YEARS_MS,
            start_ms=schedule.start_ms,
            end_ms=schedule.end_ms,
        ):
            found.append(_moment(moment_ms, self.zone))
            if len(found) >= count:
                break
        return found

    @property
    def arguments_size(self) -> int:
        """Bytes of the arguments of its call, as they are kept."""
        return len(self._schedule.call.body)

    def arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Unpickle the arguments of its call, which runs code of theirs, and return them: `args, kwargs`.

        Raises:
            Malformed: They cannot be unpickled here: a module of theirs may be missing.
        """
        call = self._schedule.call
        return decode_call(call.encoding, call.body, call.clear_size)

    @property
    def times(self) -> When:
        """When it fires, as what `crontab`, `every` or `once` return."""
        return read_when(self.when, self.zone)


def view_of(schedule: Schedule) -> ScheduleView:
    """Return a definition as users see it."""
    zone = schedule.zone

    def moment(at_ms: int | None) -> datetime | None:
        return None if at_ms is None else _moment(at_ms, zone)

    return ScheduleView(
        schedule.name,
        schedule.when,
        zone,
        schedule.call.task,
        str(schedule.call.options.get("queue", "")),
        schedule.paused,
        bool(schedule.declared),
        schedule.misfire,
        schedule.catch_up_ms / 1000,
        schedule.overlap,
        schedule.jitter_ms / 1000,
        moment(schedule.start_ms),
        moment(schedule.end_ms),
        _moment(schedule.created_ms, zone),
        schedule,
    )


def _moment(at_ms: int, zone: str) -> datetime:
    return datetime.fromtimestamp(at_ms // 1000, zone_of(zone)) + at_ms % 1000 * _MS


class Schedules:
    """The schedules of a mesh. What is changed counts within a second, whoever leads."""

    def __init__(self, agreement: Agreement, portal: Portal, spans: SendSpans | None = None) -> None:
        """Prepare; connects when first used.

        Args:
            agreement: The way to the registers of the mesh.
            portal: Where messages are sent.
            spans: Makes spans of what is sent; None if nobody traces.
        """
        self._agreement = agreement
        self._portal = portal
        self._spans = spans

    # -- looking ------------------------------------------------------------------

    def list(self) -> list[ScheduleView]:
        """Return all schedules, by name.

        Raises:
            NoMajority: Too few acceptors answered.
        """
        agreement = self._agreement
        found = agreement.run(names(agreement.registers, schedule_register("")))
        held = agreement.run(agreement.registers.read_many(found))
        return [view_of(unpack_schedule(each.content)) for each in held.values() if each.content is not None]

    def get(self, name: str) -> ScheduleView:
        """Return one schedule.

        Raises:
            UsageError: There is none of this name.
        """
        return view_of(self._read(name))

    def full_name(self, name: str) -> str:
        """Return the name that was meant: the name itself or, where there is none, the only one that ends in `.name`.

        Raises:
            UsageError: Several do. One that none ends in is returned as it is.
        """
        agreement = self._agreement
        found = agreement.run(names(agreement.registers, schedule_register("")))
        known = [register.removeprefix(schedule_register("")) for register in found]
        fitting = sorted(each for each in known if each.endswith(f".{name}"))
        if name in known or not fitting:
            return name
        if len(fitting) > 1:
            raise UsageError(f"several schedules end in {name!r}: {', '.join(fitting)}; say which")
        return fitting[0]

    def _read(self, name: str) -> Schedule:
        register = schedule_register(check_schedule_name(name))
        content = self._agreement.run(self._agreement.registers.read(register)).content
        if content is None:
            raise UsageError(f"there is no schedule {name!r}; `taskmesh schedule list` shows those there are")
        return unpack_schedule(content)

    # -- changing -----------------------------------------------------------------

    def put(self, schedule: Schedule) -> bool:
        """Define a schedule, or define it anew; tell whether that changed anything.

        Raises:
            UsageError: The definition cannot be.
            ChangeRejected, ChangeUnknown: Too few acceptors answered.
        """
        return self._change(schedule.name, put(schedule, self._now_ms()))

    def pause(self, name: str) -> bool:
        """Have a schedule not fire until it is resumed; tell whether it did before."""
        return self._change(name, pause(name))

    def resume(self, name: str) -> bool:
        """Have a paused schedule fire again, from now on; tell whether it was paused."""
        return self._change(name, resume(name, self._now_ms()))

    def remove(self, name: str) -> bool:
        """Have a schedule exist no more; tell whether it did. One that stands in the app's code comes back with it."""
        return self._change(name, remove)

    def _change(self, name: str, change: Change) -> bool:
        agreement = self._agreement
        changed: Changed = agreement.run(
            agreement.registers.change(
                schedule_register(check_schedule_name(name)), change, agreement.operation()
            )
        )
        return changed.answer == CHANGED

    def _now_ms(self) -> int:
        return self._portal.link.open().clock.now_ms()

    def run_now(self, name: str) -> AsyncResult[Any]:
        """Send what a schedule calls, now, beside its firings, also while it is paused; return the handle.

        Raises:
            UsageError: There is none of this name.
            SendRejected, SendUnknown: As `Task.delay`.
        """
        call = self._read(name).call
        if self._spans is None:
            return self._send(call)
        # a firing has no sender, but this message has one, which is told apart by its span
        options = SendOptions(
            call.options["queue"],
            call.options.get("ignore_result", False),
            call.options["result_ttl_s"],
            call.headers,
        )
        told = lambda options: self._send(msgspec.structs.replace(call, headers=options.headers))  # noqa: E731
        return in_span(self._spans, call.task, options, told)

    def _send(self, call: PackedCall) -> AsyncResult[Any]:
        from taskmesh.scheduler.message import Maker

        portal = self._portal
        portal.open_to_send()
        link = portal.link
        maker = Maker(link.session, link.messages, portal.client_name)
        message = maker.message(portal.sender.new_id(), call)
        functions = {message.function: call.blob} if message.function else None
        handle: AsyncResult[Any] = AsyncResult(portal, message.task_id.decode(), call.task)
        portal.sender.send_one(message, functions, handle)
        return handle

    # -- in event loops -----------------------------------------------------------

    async def alist(self) -> list[ScheduleView]:  # type: ignore[valid-type]
        """As `list`, in an event loop."""
        return await _in_thread(self.list)

    async def aget(self, name: str) -> ScheduleView:
        """As `get`, in an event loop."""
        return await _in_thread(lambda: self.get(name))

    async def apause(self, name: str) -> bool:
        """As `pause`, in an event loop."""
        return await _in_thread(lambda: self.pause(name))

    async def aresume(self, name: str) -> bool:
        """As `resume`, in an event loop."""
        return await _in_thread(lambda: self.resume(name))

    async def aremove(self, name: str) -> bool:
        """As `remove`, in an event loop."""
        return await _in_thread(lambda: self.remove(name))

    async def arun_now(self, name: str) -> AsyncResult[Any]:
        """As `run_now`, in an event loop."""
        return await _in_thread(lambda: self.run_now(name))


async def _in_thread(call: Callable[[], T]) -> T:
    from taskmesh.nodes.async_thread import in_thread_once

    return await in_thread_once(call)
