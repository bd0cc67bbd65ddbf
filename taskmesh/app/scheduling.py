"""Schedules: calls that the mesh makes by itself, at times that are said once."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from taskmesh.app.registering import Registering
from taskmesh.client.readers import seconds
from taskmesh.client.task import Task
from taskmesh.config.arguments import Duration
from taskmesh.errors import UsageError

if TYPE_CHECKING:
    from taskmesh.client.schedules import Schedules
    from taskmesh.client.signature import Signature
    from taskmesh.client.task_decorators import TaskDecorator
    from taskmesh.config import Settings
    from taskmesh.coordination.schedule import Schedule
    from taskmesh.scheduler.when import When

_YEAR_S = 366 * 86_400.0
_catch_up = seconds("catch_up", 0, _YEAR_S)
_jitter = seconds("jitter", 0, _YEAR_S)


class Policies(TypedDict, total=False):
    """What a schedule can be given beside its times and its call. None is as good as not given.

    Attributes:
        misfire: What comes of firings that were missed, because nobody led: `skip`, `latest` (if not given) or `all`.
        catch_up: How old a missed firing may be that is run: seconds, a timedelta or a text; a day if not given.
        overlap: What comes of a firing while the message of the one before has not ended: `allow` (if not given),
            `skip` or `buffer-one`.
        jitter: By how much its messages are delayed at most.
        start: Nothing fires before it: a datetime with its zone, or Unix time.
        end: Nothing fires at it or later.
    """

    misfire: str | None
    catch_up: Duration | None
    overlap: str | None
    jitter: Duration | None
    start: datetime | float | None
    end: datetime | float | None


class Scheduling(Registering):
    """What a mesh offers to have tasks called at times."""

    def __init__(self, name: str, settings: Settings) -> None:
        """Begin with no schedules in the code."""
        super().__init__(name, settings)
        self._declared: dict[str, tuple[When | str, Signature[Any], Policies]] = {}

    def schedule(
        self, name: str, when: When | str, signature: Signature[Any], **policies: Unpack[Policies]
    ) -> bool:
        """Have a task called at times: `mesh.schedule("nightly", crontab("0 3 * * *"), report.s())`.

        It stands in the mesh until it is removed, whatever becomes of this process. One of the same name is defined
        anew; one that is paused stays so. It counts within a second.

        While a command imports its app this only notes what the code says, as `cron` does: workers and schedulers
        define it when they start, and who looks at a mesh changes nothing.

        Args:
            name: 1 to 175 printable ASCII characters without space and `@`.
            when: What `crontab`, `every` or `once` return, or the same as a text, in UTC.
            signature: What is called: `task.s(...)`, with options by `.set(...)`.
            policies: See `Policies`: misfire, catch_up, overlap, jitter, start, end.

        Returns:
            Whether this changed anything in the mesh; False while a command imports its app.

        Raises:
            UsageError: It cannot be; the error says why and where.
            ChangeRejected: It certainly does not stand. `NoMajority` when too few acceptors answered.
            ChangeUnknown: It may stand or not; say it again.
        """
        if self.eager:
            raise UsageError(
                f"mesh {self.name!r} runs its tasks inline (eager): it has no leader to fire a schedule"
            )
        from taskmesh.worker.locate import is_importing_app

        if is_importing_app():
            self._check_schedule(name, when, policies, _called(name, signature).task.name)
            self._declared[name] = when, signature, policies
            return False
        return self.schedules.put(self._definition(name, when, signature, policies))

    async def aschedule(
        self, name: str, when: When | str, signature: Signature[Any], **policies: Unpack[Policies]
    ) -> bool:
        """As `schedule`, in an event loop."""
        from taskmesh.nodes.async_thread import in_thread_once

        return await in_thread_once(lambda: self.schedule(name, when, signature, **policies))

    @property
    def schedules(self) -> Schedules:
        """The schedules of this mesh: list, get, pause, resume, remove, run_now; each with its twin for event loops."""
        from taskmesh.client.schedules import Schedules

        return Schedules(self.agreement, self.portal, self.spans)

    # -- in the app's code ----------------------------------------------------------

    def cron(
        self,
        line: str,
        *,
        tz: str = "UTC",
        name: str | None = None,
        args: Iterable[Any] = (),
        kwargs: dict[str, Any] | None = None,
        **policies: Unpack[Policies],
    ) -> TaskDecorator:
        """Have a function called by a cron line: `@mesh.cron("*/5 * * * *")`, above `@mesh.task` if that is there.

        The schedule is defined when a worker or a scheduler of this app starts, if the code says something else than
        it did the last time.

        Args:
            line: As for `crontab`.
            tz: The time zone whose wall times are meant.
            name: Of the schedule; the task's if not given.
            args: Positional arguments.
            kwargs: Arguments by name.
            policies: See `Policies`.

        Raises:
            UsageError: The line cannot be read or never comes, or something else cannot be.
        """
        from taskmesh.scheduler.crontab import crontab

        return self._declaring(crontab(line, tz=tz), name, args, kwargs, policies)

    def every(
        self,
        interval: Duration,
        *,
        phase: Duration | None = None,
        name: str | None = None,
        args: Iterable[Any] = (),
        kwargs: dict[str, Any] | None = None,
        **policies: Unpack[Policies],
    ) -> TaskDecorator:
        """As `cron`, at a fixed interval: `@mesh.every(30)`, `@mesh.every("10m")`.

        Args:
            interval: As for `taskmesh.every`.
            phase: By how much the grid is moved.
            name: Of the schedule; the task's if not given.
            args: Positional arguments.
            kwargs: Arguments by name.
            policies: See `Policies`.
        """
        from taskmesh.scheduler.every import every

        return self._declaring(every(interval, phase=phase), name, args, kwargs, policies)

    def _declaring(
        self,
        when: When,
        name: str | None,
        args: Iterable[Any],
        kwargs: dict[str, Any] | None,
        policies: Policies,
    ) -> TaskDecorator:
        def decorate(function: Any) -> Any:
            task: Task[..., Any] = function if isinstance(function, Task) else self.task(function)
            self._declare(name or task.name, when, task.signature(args, kwargs), policies)
            return task

        return decorate

    def _declare(self, name: str, when: When, signature: Signature[Any], policies: Policies) -> None:
        known = self._declared.get(name)
        if known is not None and known[1].task.name != signature.task.name:
            raise UsageError(
                f"two schedules in the code have the name {name!r}: of task {known[1].task.name} and of task "
                f"{signature.task.name}; give one of them another with name="
            )
        signature.task.checked(signature.args, dict(signature.kwargs))
        self._check_schedule(name, when, policies)
        self._declared[name] = when, signature, policies

    def declared_schedules(self) -> tuple[bytes, ...]:
        """Return what the code says of schedules, packed; workers and schedulers ask for it when they start.

        Raises:
            UsageError, NotPicklable, PayloadTooLarge: A definition cannot be.
        """
        if not self._declared:
            return ()
        from taskmesh.coordination.schedule import pack_schedule
        from taskmesh.coordination.schedule_change import declared

        return tuple(
            pack_schedule(declared(self._definition(name, *said))) for name, said in self._declared.items()
        )

    # -- definitions ----------------------------------------------------------------

    def _definition(
        self, name: str, when: When | str, signature: Signature[Any], policies: Policies
    ) -> Schedule:
        from msgspec.structs import replace

        from taskmesh.client.signature import pack_signature

        task = _called(name, signature).task.name
        functions = self.keyring().signer("function", self.name)
        return replace(
            self._check_schedule(name, when, policies, task),
            call=pack_signature(signature, functions),
        )

    def _check_schedule(
        self, name: str, when: When | str, policies: Policies, task: str = "unknown"
    ) -> Schedule:
        """Return a definition without its call, so that what cannot be is refused where it is written."""
        from taskmesh.coordination.schedule import PackedCall, Schedule, check_schedule
        from taskmesh.scheduler.times import Times
        from taskmesh.scheduler.when import read_when
        from taskmesh.scheduler.zones import moment_ms

        unknown = policies.keys() - Policies.__annotations__.keys()
        if unknown:
            raise UsageError(
                f"schedule {name!r} does not know {', '.join(sorted(unknown))}; it knows "
                f"{', '.join(sorted(Policies.__annotations__))}. Options of the call go to its signature: "
                "task.s(...).set(queue=...)"
            )
        times = read_when(when) if isinstance(when, str) else when
        if not isinstance(times, Times):
            raise UsageError(
                f"schedule {name!r} is to fire at {when!r}: expected crontab(...), every(...), once(...), or the same "
                "as a text"
            )
        text, zone = times.said()
        given: dict[str, Any] = {key: value for key, value in policies.items() if value is not None}
        fields: dict[str, Any] = {key: given[key] for key in ("misfire", "overlap") if key in given}
        fields |= {f"{key}_ms": moment_ms(key, given[key]) for key in ("start", "end") if key in given}
        if "catch_up" in given:
            fields["catch_up_ms"] = round(_catch_up(given["catch_up"]) * 1000)
        if "jitter" in given:
            fields["jitter_ms"] = round(_jitter(given["jitter"]) * 1000)
        schedule = Schedule(name=name, when=text, zone=zone, call=PackedCall(task=task), **fields)
        check_schedule(schedule)
        return schedule


def _called(name: str, signature: Signature[Any]) -> Signature[Any]:
    """Return what a schedule is to call.

    Raises:
        UsageError: It is no call that is made later.
    """
    from taskmesh.client.signature import Signature

    if not isinstance(signature, Signature):
        raise UsageError(
            f"schedule {name!r} is to call {signature!r}: expected a call that is made later, such as "
            "task.s(1, 2); without arguments, task.s()"
        )
    return signature
